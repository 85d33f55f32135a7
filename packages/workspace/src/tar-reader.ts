import { type ByteStream, OpencodeToolsError } from '@opencode-tools/core';
import { encodeAttributes, isKeptAttribute } from './attributes/attribute-text.ts';
import { ByteSource, type Content } from './byte-source.ts';
import { type TarMember, type TarType, attributeKey, blockLength, checksumOf, paddingOf } from './tar-member.ts';

/** Longest extended header or long name that is taken; real ones have some kilobytes. */
const longestSpecial = 16 * 1024 * 1024;
const types: Readonly<Record<string, TarType>> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  '1': 'link',
  '2': 'symlink',
  '5': 'directory',
};

/**
 * Reads a tar stream member by member: POSIX (ustar and pax), GNU long names and binary numbers. What is not read of a member's
 * content is skipped.
 *
 * @throws OpencodeToolsError `OCT_ENGINE_UNAVAILABLE` when the stream ends before its end mark, so that a half tree is
 * never taken for a whole one
 */
export async function* readTar(stream: ByteStream): AsyncGenerator<readonly [TarMember, Content]> {
  const source = new ByteSource(stream);
  try {
    yield* members(source);
  } finally {
    await source.close();
  }
}

async function* members(source: ByteSource): AsyncGenerator<readonly [TarMember, Content]> {
  const globals = new Map<string, string>();
  let extras = new Map<string, string>();
  for (;;) {
    const header = await source.take(blockLength);
    if (header.length < blockLength) throw broken('ended early');
    if (header[0] === 0 && header.every((byte) => byte === 0)) return drain(source);
    if (checksumOf(header) !== number(header, 148, 8)) throw broken('has a header whose checksum is wrong');
    const flag = String.fromCharCode(header[156] ?? 0);
    if (!'xgLK'.includes(flag)) {
      const member = toMember(header, flag, new Map([...globals, ...extras]));
      extras = new Map();
      const content = source.content(member.size, () => broken('ended early'));
      yield [member, content];
      await skip(content, source, member.size);
      continue;
    }
    const body = await special(source, number(header, 124, 12));
    if (flag === 'x') readRecords(body, extras);
    else if (flag === 'g') readRecords(body, globals);
    else extras.set(flag === 'L' ? 'path' : 'linkpath', text(body, 0, body.length));
  }
}

function toMember(header: Buffer, flag: string, extras: ReadonlyMap<string, string>): TarMember {
  if (flag === 'S' || extras.has('GNU.sparse.major') || extras.has('GNU.sparse.map')) {
    throw broken('has sparse members, which are not supported');
  }
  const mtime = extras.get('mtime');
  const type = types[flag] ?? 'other';
  const name = extras.get('path') ?? plainName(header);
  return {
    name,
    type: type === 'file' && name.endsWith('/') ? 'directory' : type,
    mode: number(header, 100, 8) & 0o7777,
    uid: Number(extras.get('uid') ?? number(header, 108, 8)),
    gid: Number(extras.get('gid') ?? number(header, 116, 8)),
    mtimeNs: mtime === undefined ? BigInt(number(header, 136, 12)) * 1_000_000_000n : nanoseconds(mtime),
    size: type === 'file' || type === 'other' ? Number(extras.get('size') ?? number(header, 124, 12)) : 0,
    target: extras.get('linkpath') ?? text(header, 157, 100),
    ...attributesIn(extras),
    ...overlayNote(header, flag, extras),
  };
}

function attributesIn(extras: ReadonlyMap<string, string>): Pick<TarMember, 'attributes'> {
  const attributes = new Map<string, string>();
  for (const [key, value] of extras) {
    if (!key.startsWith(attributeKey)) continue;
    const name = key.slice(attributeKey.length).replaceAll('%3D', '=').replaceAll('%25', '%');
    if (isKeptAttribute(name)) attributes.set(name, value);
  }
  return attributes.size === 0 ? {} : { attributes: encodeAttributes(attributes) };
}

const overlayRecord = `${attributeKey}trusted.overlay.`;
/** What an overlay notes for itself, and nothing of a tree depends on. */
const harmless = ['origin', 'impure', 'nlink', 'uuid', 'upper', 'protattr'];

/** An overlay marks a removed name by a character device 0:0, and a directory below which nothing is seen by `opaque`. */
function overlayNote(header: Buffer, flag: string, extras: ReadonlyMap<string, string>): Pick<TarMember, 'overlay'> {
  if (flag === '3' && number(header, 329, 8) === 0 && number(header, 337, 8) === 0) return { overlay: 'gone' };
  let note: Pick<TarMember, 'overlay'> = {};
  for (const [key, value] of extras) {
    if (!key.startsWith(overlayRecord) || harmless.includes(key.slice(overlayRecord.length))) continue;
    if (key !== `${overlayRecord}opaque` || value !== 'y') return { overlay: 'moved' };
    note = { overlay: 'opaque' };
  }
  return note;
}

function plainName(header: Buffer): string {
  const name = text(header, 0, 100);
  const isPosix = header.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = isPosix ? text(header, 345, 155) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

function nanoseconds(decimal: string): bigint {
  const match = /^(-?)(\d+)(?:\.(\d*))?$/.exec(decimal);
  if (match === null) throw broken('has a time that is no number');
  const [, sign, seconds = '0', fraction = ''] = match;
  const size = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'));
  return sign === '-' ? -size : size;
}

function readRecords(body: Buffer, into: Map<string, string>): void {
  for (let at = 0; at < body.length && body[at] !== 0;) {
    const space = body.indexOf(0x20, at);
    const length = Number(body.toString('latin1', at, space));
    const equals = body.indexOf(0x3d, space);
    if (!Number.isInteger(length) || space < at || equals < space || at + length > body.length || length <= 0) {
      throw broken('has a damaged extended header');
    }
    const key = body.toString('latin1', space + 1, equals);
    const value = body.toString('latin1', equals + 1, at + length - 1);
    if (value === '' && !key.startsWith(attributeKey)) into.delete(key);
    else into.set(key, value);
    at += length;
  }
}

function number(header: Buffer, at: number, length: number): number {
  const first = header[at] ?? 0;
  if (first < 0x80) return Number.parseInt(text(header, at, length).trim() || '0', 8);
  let value = first === 0xff ? -1 : first & 0x7f;
  for (let index = at + 1; index < at + length; index += 1) value = value * 256 + (header[index] ?? 0);
  return value;
}

function text(bytes: Buffer, at: number, length: number): string {
  const end = bytes.indexOf(0, at);
  return bytes.toString('latin1', at, end === -1 || end > at + length ? at + length : end);
}

async function skip(content: Content, source: ByteSource, size: number): Promise<void> {
  while ((await content.next()) !== undefined);
  const padding = paddingOf(size);
  if (padding > 0 && (await source.take(padding)).length < padding) throw broken('ended early');
}

async function special(source: ByteSource, size: number): Promise<Buffer> {
  if (!(size >= 0 && size <= longestSpecial)) throw broken('has an extended header of impossible size');
  const body = await source.take(size);
  const padding = await source.take(paddingOf(size));
  if (body.length + padding.length < size + paddingOf(size)) throw broken('ended early');
  return body;
}

async function drain(source: ByteSource): Promise<void> {
  while ((await source.some(1024 * 1024)) !== undefined);
}

function broken(what: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_ENGINE_UNAVAILABLE', `The stream of a volume's tree ${what}`, {
    remedy: 'Check that the Docker Engine is healthy, then try again.',
  });
}
