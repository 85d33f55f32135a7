/**
 * One entry of an upper as it is listed: `d` for its tree or `i` for its index of copied-up hard links, then type, inode, number
 * of links, time of change, mode, owner, group, size, time of modification, time of birth (of directories only), path. The
 * first is for find, the second for stat, which knows when a directory was born.
 */
export const [fileFormat, directoryFormat] = [
  '%y %i %n %C@ %m %U %G %s %T@ - ./%P\\0',
  'd %i %h %.9Z %a %u %g %s %.9Y %.9W %n\\0',
];

export interface UpperEntry {
  readonly part: 'd' | 'i';
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

/** What differs between two listings. */
export interface ListingChange {
  readonly before: readonly UpperEntry[];
  readonly after: readonly UpperEntry[];
}

/** Reads what `comm -z -3` says of two listings: lines of the second one begin with a tab. */
export function parseChange(output: Buffer): ListingChange {
  const before: UpperEntry[] = [];
  const after: UpperEntry[] = [];
  for (const line of output.toString('latin1').split('\0')) {
    if (line === '') continue;
    if (line.startsWith('\t')) after.push(parseEntry(line.slice(1)));
    else before.push(parseEntry(line));
  }
  return { before, after };
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
  const part = kind.startsWith('i') ? 'i' : 'd';
  return { part, type: kind.slice(1), inode, changedAt, mode, uid, gid, size, modifiedAt, bornAt, path };
}
