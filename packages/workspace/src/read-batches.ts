import type { ThreadTools } from './thread.ts';

export interface BatchesInput {
  readonly root: string;
  /** How files are opened. */
  readonly flags: number;
}

/** Files to read, one after the other, into memory that has room for them. */
export interface Batch {
  readonly id: number;
  /** Paths of the files, with a NUL between them. */
  readonly paths: string;
  /** Of each file what it was when it was scanned: size, times of change in milliseconds, device, inode. */
  readonly facts: Float64Array;
  readonly memory: ArrayBuffer;
}

/** A batch that was read. */
export interface ReadBatch {
  readonly id: number;
  /** The bytes of the files one after the other. */
  readonly memory: ArrayBuffer;
  /** SHA-256 of each file, 32 bytes. */
  readonly digests: Uint8Array;
  /** How long each file is; -1 for what cannot be read, or is not what was scanned. */
  readonly lengths: Int32Array;
}

/**
 * Reads each batch that comes as a message. It runs in a thread that has nothing but its text, so it names nothing from outside of it.
 */
export function readBatches({ fs, hash, port, liesAt }: ThreadTools, { root, flags }: BatchesInput): void {
  const columns = 5;
  const readOpened = (file: number, facts: Float64Array, into: Buffer): boolean => {
    let done = 0;
    while (done < into.length) {
      const count = fs.readSync(file, into, done, into.length - done, done);
      if (count === 0) return false;
      done += count;
    }
    const now = fs.fstatSync(file);
    const is = [now.size, now.mtimeMs, now.ctimeMs, now.dev, now.ino];
    return now.isFile() && is.every((value, at) => facts[at] === value);
  };
  const read = (path: string, facts: Float64Array, into: Buffer): boolean => {
    try {
      const full = `${root}/${path}`;
      const file = fs.openSync(Buffer.from(full, 'latin1'), flags);
      try {
        return liesAt(file, full) && readOpened(file, facts, into);
      } finally {
        fs.closeSync(file);
      }
    } catch {
      // Whoever reads it next says why it cannot be read.
      return false;
    }
  };
  port.on('message', ({ id, paths, facts, memory }: Batch) => {
    const names = paths.split('\0');
    const digests = new Uint8Array(names.length * 32);
    const lengths = new Int32Array(names.length);
    let used = 0;
    for (const [number, path] of names.entries()) {
      const known = facts.subarray(number * columns, (number + 1) * columns);
      const bytes = Buffer.from(memory, used, known[0]);
      const isRead = read(path, known, bytes);
      lengths[number] = isRead ? bytes.length : -1;
      if (!isRead) continue;
      digests.set(hash('sha256', bytes, 'buffer'), number * 32);
      used += bytes.length;
    }
    port.postMessage({ id, memory, digests, lengths }, [memory]);
  });
}
