import { type TarMember, type TarType, blockLength, checksumOf, paddingOf } from './tar-member.ts';

const typeFlags: Readonly<Record<Exclude<TarType, 'other'>, string>> = {
  file: '0',
  link: '1',
  symlink: '2',
  directory: '5',
};
const nameLength = 100;
const largestId = 0o7777777;
const largestNumber = 0o77777777777;
const second = 1_000_000_000n;

/**
 * Encodes a member's header. Names are raw bytes in the plain header, or in a GNU long-name member when they exceed 100
 * bytes (every reader takes those as bytes, which is not so for extended headers); what the plain header cannot hold
 * of times, ids and sizes goes into a POSIX extended header.
 */
export function encodeHeader(
  member: TarMember & { readonly type: Exclude<TarType, 'other'>; readonly sparse?: SparseMember },
): Buffer {
  const name = member.type === 'directory' ? `${member.name}/` : member.name;
  const blocks: Buffer[] = [];
  const records = extendedRecords(member) + sparseRecords(member);
  if (records !== '') blocks.push(...special('x', './PaxHeaders', records));
  if (member.target.length > nameLength) blocks.push(...special('K', '././@LongLink', `${member.target}\0`));
  if (name.length > nameLength) blocks.push(...special('L', '././@LongLink', `${name}\0`));
  blocks.push(plainHeader({ ...member, name, flag: typeFlags[member.type] }));
  return blocks.length === 1 ? (blocks[0] ?? Buffer.alloc(0)) : Buffer.concat(blocks);
}

/** What a sparse member says of the file that it makes; its own content begins with where the data goes. */
export interface SparseMember {
  /** ASCII. */
  readonly name: string;
  readonly size: number;
}

/** As version 1.0 of GNU tar's format, which libarchive reads as well. */
function sparseRecords({ sparse }: { readonly sparse?: SparseMember }): string {
  if (sparse === undefined) return '';
  const { name, size } = sparse;
  const version = record('GNU.sparse.major', '1') + record('GNU.sparse.minor', '0');
  return version + record('GNU.sparse.name', name) + record('GNU.sparse.realsize', String(size));
}

/** The two empty blocks that end a stream. */
export function endOfArchive(): Buffer {
  return Buffer.alloc(2 * blockLength);
}

function extendedRecords({ mtimeNs, uid, gid, size }: TarMember): string {
  let records = '';
  if (mtimeNs % second !== 0n || mtimeNs < 0n || mtimeNs / second > BigInt(largestNumber)) {
    records += record('mtime', decimalSeconds(mtimeNs));
  }
  if (uid > largestId) records += record('uid', String(uid));
  if (gid > largestId) records += record('gid', String(gid));
  if (size > largestNumber) records += record('size', String(size));
  return records;
}

function decimalSeconds(ns: bigint): string {
  const sign = ns < 0n ? '-' : '';
  const size = ns < 0n ? -ns : ns;
  return `${sign}${size / second}.${String(size % second).padStart(9, '0')}`;
}

function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const length = rest.length + String(rest.length).length;
  return `${String(rest.length + String(length).length)}${rest}`;
}

function special(flag: string, name: string, content: string): readonly Buffer[] {
  const header = plainHeader({
    name,
    flag,
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtimeNs: 0n,
    size: content.length,
    target: '',
  });
  return [header, Buffer.from(content, 'latin1'), Buffer.alloc(paddingOf(content.length))];
}

function plainHeader(member: Omit<TarMember, 'type'> & { readonly flag: string }): Buffer {
  const { name, flag, mode, uid, gid, mtimeNs, size, target } = member;
  const header = Buffer.alloc(blockLength);
  header.write(name.slice(0, nameLength), 0, 'latin1');
  octal(header, 100, 8, mode);
  octal(header, 108, 8, uid <= largestId ? uid : 0);
  octal(header, 116, 8, gid <= largestId ? gid : 0);
  octal(header, 124, 12, size <= largestNumber ? size : 0);
  const seconds = mtimeNs < 0n ? 0 : Number(mtimeNs / second);
  octal(header, 136, 12, seconds <= largestNumber ? seconds : 0);
  header.write(flag, 156, 'latin1');
  header.write(target.slice(0, nameLength), 157, 'latin1');
  header.write('ustar\u000000', 257, 'latin1');
  header.write(checksumOf(header).toString(8).padStart(6, '0'), 148, 'latin1');
  header[154] = 0;
  header[155] = 0x20;
  return header;
}

function octal(header: Buffer, at: number, length: number, value: number): void {
  header.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
}
