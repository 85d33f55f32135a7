import type { ThreadTools } from './thread.ts';

/** Some names that follow each other in a walk. */
export interface WalkShare {
  /** Directories that come first, each without what is in it. */
  readonly alone: readonly string[];
  /** Names with everything below them. */
  readonly whole: readonly string[];
}

export interface LookAheadInput {
  readonly root: string;
  readonly shares: readonly WalkShare[];
  /** How many shares were taken, in memory that the threads share: one takes the first, the other the last of those that are left. */
  readonly taken: Int32Array;
}

/** What was found in a share, in the order of the walk. */
export interface SharedLook {
  readonly share: number;
  /** Paths with a NUL between them. */
  readonly paths: string;
  /** Of each name its size, times of change in milliseconds, inode, mode, user, group and number of links. */
  readonly facts: Float64Array;
}

/**
 * Looks at names from the last share on, until all are taken. It runs in a thread that has nothing but its text, so it names nothing
 * from outside of it.
 */
export function lookAhead({ fs, port }: ThreadTools, { root, shares, taken }: LookAheadInput): void {
  const columns = 8;
  const directory = 0o040000;
  const lookAt = (share: number, { alone, whole }: WalkShare): SharedLook => {
    const paths: string[] = [];
    let facts = new Float64Array(columns * 1_024);
    const waiting = [...alone, ...whole].toReversed();
    for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
      const full = Buffer.from(path === '' ? root : `${root}/${path}`, 'latin1');
      const { size, mtimeMs, ctimeMs, ino, mode, uid, gid, nlink } = fs.lstatSync(full);
      const at = paths.length * columns;
      paths.push(path);
      if (at === facts.length) {
        const more = new Float64Array(facts.length * 2);
        more.set(facts);
        facts = more;
      }
      facts[at] = size;
      facts[at + 1] = mtimeMs;
      facts[at + 2] = ctimeMs;
      facts[at + 3] = ino;
      facts[at + 4] = mode;
      facts[at + 5] = uid;
      facts[at + 6] = gid;
      facts[at + 7] = nlink;
      if ((mode & 0o170000) !== directory || paths.length <= alone.length) continue;
      const names = fs.readdirSync(full, { encoding: 'latin1' }).sort();
      const below = path === '' ? '' : `${path}/`;
      for (let index = names.length - 1; index >= 0; index -= 1) waiting.push(below + (names[index] ?? ''));
    }
    return { share, paths: paths.join('\0'), facts: facts.slice(0, paths.length * columns) };
  };
  const looks: SharedLook[] = [];
  for (let share = shares.length - 1; Atomics.add(taken, 0, 1) < shares.length; share -= 1) {
    try {
      looks.push(lookAt(share, shares[share] ?? { alone: [], whole: [] }));
    } catch {
      // Whoever looks there again says what is wrong.
    }
  }
  port.postMessage(
    looks,
    looks.map(({ facts }) => facts.buffer as ArrayBuffer),
  );
}
