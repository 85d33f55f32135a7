import { decodeAttributes } from './attributes/attribute-text.ts';
import { type TarMember, type TarType, attributeKey, blockLength, paddingOf } from './tar-member.ts';

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
const version = Buffer.from('ustar\u000000', 'latin1');
/** The checksum's own field counts as blanks. */
const emptyChecksum = version.reduce((sum, byte) => sum + byte, 8 * 0x20);

type Member = TarMember & { readonly type: Exclude<TarType, 'other'>; readonly sparse?: SparseMember };

/**
 * Encodes a member's header. Names are raw bytes in the plain header, or in a GNU long-name member when they exceed 100
 * bytes (every reader takes those as bytes, which is not so for extended headers); what the plain header cannot hold
 * of times, ids and sizes goes into a POSIX extended header.
 */
export function encodeHeader(member: Member): Buffer {
  const into = Buffer.allocUnsafe(mostHeaderBytes(member));
  return into.subarray(0, writeHeader(into, 0, member));
}

/** How many bytes a header has at most. */
export function mostHeaderBytes(member: Pick<Member, 'name' | 'target' | 'sparse' | 'attributes'>): number {
  const { name, target, sparse } = member;
  const records = member.attributes === undefined ? 0 : attributeRecords(member).length;
  return 10 * blockLength + name.length + target.length + (sparse?.name.length ?? 0) + records;
}

/** Writes what `encodeHeader` gives. @returns where it ends */
export function writeHeader(into: Buffer, from: number, member: Member): number {
  const { type, target, mode, size } = member;
  const name = type === 'directory' ? `${member.name}/` : member.name;
  const records = extendedRecords(member) + sparseRecords(member) + attributeRecords(member);
  let at = from;
  if (records !== '') at = writeSpecial(into, at, 'x', './PaxHeaders', records);
  if (target.length > nameLength) at = writeSpecial(into, at, 'K', '././@LongLink', `${target}\0`);
  if (name.length > nameLength) at = writeSpecial(into, at, 'L', '././@LongLink', `${name}\0`);
  const uid = member.uid <= largestId ? member.uid : 0;
  const gid = member.gid <= largestId ? member.gid : 0;
  const seconds = member.mtimeNs < 0n ? 0 : Number(member.mtimeNs / second);
  const fields = { mode, uid, gid, size, seconds: seconds <= largestNumber ? seconds : 0 };
  return writePlain(into, at, typeFlags[type], name, target, fields);
}

/** What a sparse member says of the file that it makes; its own content begins with where the data goes. */
interface SparseMember {
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

/** As GNU tar and libarchive write them. */
function attributeRecords({ attributes }: Pick<TarMember, 'attributes'>): string {
  if (attributes === undefined) return '';
  const all = [...decodeAttributes(attributes)];
  return all.map(([name, value]) => record(`${attributeKey}${name.replaceAll(/[%=]/g, escapeKey)}`, value)).join('');
}

const escapeKey = (byte: string): string => (byte === '%' ? '%25' : '%3D');

/** The two empty blocks that end a stream. */
export function endOfArchive(): Buffer {
  return Buffer.alloc(2 * blockLength);
}

function extendedRecords({ mtimeNs, uid, gid, size }: TarMember): string {
  let records = '';
  const rest = mtimeNs % second;
  if (rest !== 0n || mtimeNs < 0n || mtimeNs / second > BigInt(largestNumber)) {
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
  return `${sign}${size / second}.${String(Number(size % second)).padStart(9, '0')}`;
}

function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const length = rest.length + String(rest.length).length;
  return `${String(rest.length + String(length).length)}${rest}`;
}

const none = { mode: 0o644, uid: 0, gid: 0, seconds: 0 };

function writeSpecial(into: Buffer, from: number, flag: string, name: string, content: string): number {
  const size = content.length;
  const at = writePlain(into, from, flag, name, '', { ...none, size });
  const end = at + size + paddingOf(size);
  into.write(content, at, size, 'latin1');
  into.fill(0, at + size, end);
  return end;
}

interface Fields {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly seconds: number;
}

/** Adds up the checksum while it writes, for most of a header is 0. */
function writePlain(
  into: Buffer,
  at: number,
  flag: string,
  name: string,
  target: string,
  { mode, uid, gid, size, seconds }: Fields,
): number {
  const end = at + blockLength;
  into.fill(0, at, end);
  let sum = emptyChecksum + flag.charCodeAt(0);
  sum += writeText(into, at, name) + writeText(into, at + 157, target);
  sum += writeOctal(into, at + 100, 7, mode) + writeOctal(into, at + 108, 7, uid) + writeOctal(into, at + 116, 7, gid);
  sum += writeOctal(into, at + 124, 11, size <= largestNumber ? size : 0) + writeOctal(into, at + 136, 11, seconds);
  into[at + 156] = flag.charCodeAt(0);
  version.copy(into, at + 257);
  writeOctal(into, at + 148, 6, sum);
  into[at + 155] = 0x20;
  return end;
}

/** @returns the sum of its bytes */
function writeText(into: Buffer, at: number, text: string): number {
  const length = into.write(text, at, nameLength, 'latin1');
  let sum = 0;
  for (let index = at; index < at + length; index += 1) sum += into[index] ?? 0;
  return sum;
}

/** @returns the sum of the digits */
function writeOctal(into: Buffer, at: number, length: number, value: number): number {
  let left = value;
  let sum = 0;
  for (let digit = at + length - 1; digit >= at; digit -= 1) {
    const high = Math.floor(left / 8);
    const code = 0x30 + left - high * 8;
    into[digit] = code;
    sum += code;
    left = high;
  }
  return sum;
}
