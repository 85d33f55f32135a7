import type { LeftOut } from '@opencode-tools/core';

/**
 * One entry of an upper as it is listed: `d` for its tree, `i` for its index of copied-up hard links or `x` for the extended attributes of its top
 * directory, if it has some, named in place of the inode; then type, inode, number of links,
 * time of change, mode, owner, group, size, time of modification, time of birth (of directories only), path.
 */
export interface UpperEntry {
  readonly part: 'd' | 'i' | 'x';
  /** As `find -printf %y` says it: f, d, l, c, p, s. A character device is a name that was removed. */
  readonly type: string;
  readonly inode: string;
  readonly changedAt: string;
  readonly mode: string;
  readonly uid: string;
  readonly gid: string;
  readonly size: string;
  readonly modifiedAt: string;
  /** Seconds; zero for a file system that does not keep it, `-` for what is no directory. */
  readonly bornAt: string;
  /** Bytes as Latin-1; empty for the top directory. */
  readonly path: string;
}

/** What the overlay notes on a directory of an upper. */
export interface DirectoryMarks {
  /** Nothing below it is seen. */
  readonly opaque: boolean;
  /** Its content comes from another place below. */
  readonly redirected: boolean;
}

/** What differs between two listings. */
export interface ListingChange {
  readonly before: readonly UpperEntry[];
  readonly after: readonly UpperEntry[];
}

/** Reads what an answer begins with. @returns `lines` for `parseListing` when it is all of the upper, else for `parseChange` */
export function parseListed(answer: Buffer): {
  /** Whether hard links were copied up. */
  readonly indexed: boolean;
  readonly isAll: boolean;
  readonly leftOut: LeftOut | undefined;
  readonly lines: Buffer;
} {
  const end = answer.indexOf(0);
  const from = answer.indexOf(0, end + 1) + 1;
  const [indexed = '', count, ...words] = answer.toString('utf8', 0, end).split(' ');
  return {
    indexed: Number(indexed) > 0,
    isAll: answer.toString('latin1', end + 1, from - 1) === 'all',
    leftOut: count === undefined ? undefined : { kind: 'deep', count: Number(count), first: words.join(' ') },
    lines: answer.subarray(from),
  };
}

/** Reads how a listing differs from an earlier one: lines of the later one begin with a tab, the marks of a directory, and a tab. */
export function parseChange(output: Buffer): {
  readonly change: ListingChange;
  /** Of all directories that are new or changed. */
  readonly marks: ReadonlyMap<string, DirectoryMarks>;
} {
  const before: UpperEntry[] = [];
  const after: UpperEntry[] = [];
  const marks = new Map<string, DirectoryMarks>();
  for (const line of output.toString('latin1').split('\0')) {
    if (line === '') continue;
    if (!line.startsWith('\t')) {
      before.push(parseEntry(line));
      continue;
    }
    const end = line.indexOf('\t', 1);
    const entry = parseEntry(line.slice(end + 1));
    after.push(entry);
    const noted = line.slice(1, end);
    if (entry.part === 'd' && entry.type === 'd')
      marks.set(entry.path, { opaque: noted.includes('o'), redirected: noted.includes('r') });
  }
  return { change: { before, after }, marks };
}

/** Reads a whole listing. */
export function parseListing(output: Buffer): readonly UpperEntry[] {
  const lines = output.toString('latin1').split('\0');
  return lines.filter((line) => line !== '').map(parseEntry);
}

function parseEntry(line: string): UpperEntry {
  const fields = line.split(' ', 10);
  const [kind = '', inode = '', , changedAt = '', mode = '', uid = '', gid = ''] = fields;
  const [size = '', modifiedAt = '', bornAt = ''] = fields.slice(7);
  const path = line.slice(fields.join(' ').length + ' ./'.length);
  const part = kind.startsWith('i') ? 'i' : kind.startsWith('x') ? 'x' : 'd';
  return { part, type: kind.slice(1), inode, changedAt, mode, uid, gid, size, modifiedAt, bornAt, path };
}
