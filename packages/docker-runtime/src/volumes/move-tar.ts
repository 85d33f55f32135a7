import { Readable } from 'node:stream';
import { type ByteStream, OpencodeToolsError } from '@opencode-tools/core';

const blockLength = 512;
const nameLength = 100;

/**
 * Rewrites a tar stream so that every path lies below a directory. The engine refuses symbolic links that lead out of
 * where it unpacks, so trees are unpacked at the root, where nothing leads out. Works on blocks, since names are bytes
 * that need not be UTF-8; all but names passes unchanged.
 *
 * @param directory relative, without a slash at either end
 */
export function moveTar(directory: string, tar: ByteStream): Readable {
  return Readable.from(closing(directory, new Blocks(tar)), { objectMode: false });
}

async function* closing(directory: string, source: Blocks): AsyncGenerator<Buffer> {
  try {
    yield* rewrite(directory, source);
  } finally {
    await source.close();
  }
}

async function* rewrite(directory: string, source: Blocks): AsyncGenerator<Buffer> {
  let extras = new Map<string, string>();
  for (;;) {
    const header = await source.take(blockLength);
    if (header.every((byte) => byte === 0)) break;
    const flag = String.fromCharCode(header[156] ?? 0);
    const size = numberAt(header, 124);
    const stored = Math.ceil(size / blockLength) * blockLength;
    if (flag === 'L' || flag === 'K') {
      extras.set(flag === 'L' ? 'path' : 'linkpath', textAt(await source.take(stored), 0, size));
    } else if (flag === 'x') {
      for (const [key, value] of recordsOf((await source.take(stored)).subarray(0, size))) extras.set(key, value);
    } else if (flag === 'g') {
      await source.take(stored);
    } else {
      yield* movedHeader(directory, header, flag, extras);
      const length = Number(extras.get('size') ?? size);
      if (flag === '0' || flag === '\0' || flag === '7')
        yield* source.pass(Math.ceil(length / blockLength) * blockLength);
      extras = new Map();
    }
  }
  yield Buffer.alloc(2 * blockLength);
}

function* movedHeader(directory: string, header: Buffer, flag: string, extras: Map<string, string>): Generator<Buffer> {
  const name = movedPath(extras.get('path') ?? plainName(header), directory);
  const link = extras.get('linkpath') ?? textAt(header, 157, nameLength);
  const target = flag === '1' ? movedPath(link, directory) : link;
  const kept = [...extras].filter(([key]) => key !== 'path' && key !== 'linkpath');
  if (kept.length > 0) yield special('x', kept.map(([key, value]) => record(key, value)).join(''));
  if (target.length > nameLength) yield special('K', `${target}\0`);
  if (name.length > nameLength) yield special('L', `${name}\0`);
  const out = Buffer.from(header);
  out.fill(0, 345, 500);
  out.fill(0, 0, nameLength).write(name.slice(0, nameLength), 0, 'latin1');
  // Engines put the type of an entry into its mode, too; a tar keeps permissions there.
  out.write(`${(numberAt(header, 100, 8) & 0o7777).toString(8).padStart(7, '0')}\0`, 100, 'latin1');
  out.fill(0, 157, 257).write(target.slice(0, nameLength), 157, 'latin1');
  yield sealed(out);
}

function movedPath(path: string, directory: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || path.includes('\0')) {
    throw new OpencodeToolsError(
      'OCT_INVALID_ARGUMENT',
      `The tar stream holds a path that leads out of its tree: ${path}`,
    );
  }
  return `${[directory, ...parts].join('/')}${path.endsWith('/') || parts.length === 0 ? '/' : ''}`;
}

function special(flag: string, content: string): Buffer {
  const header = Buffer.alloc(blockLength);
  header.write('././@LongLink', 0, 'latin1');
  for (const at of [100, 108, 116]) header.write('0000000', at, 'latin1');
  header.write(content.length.toString(8).padStart(11, '0'), 124, 'latin1');
  header.write('00000000000', 136, 'latin1');
  header.write(flag, 156, 'latin1');
  header.write('ustar\u000000', 257, 'latin1');
  const padding = (blockLength - (content.length % blockLength)) % blockLength;
  return Buffer.concat([sealed(header), Buffer.from(content, 'latin1'), Buffer.alloc(padding)]);
}

function sealed(header: Buffer): Buffer {
  header.write('        ', 148, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

function* recordsOf(body: Buffer): Generator<readonly [string, string]> {
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(0x20, at);
    const length = Number(body.toString('latin1', at, space));
    const equals = body.indexOf(0x3d, space);
    if (!(length > 0) || equals < 0) throw damaged();
    yield [body.toString('latin1', space + 1, equals), body.toString('latin1', equals + 1, at + length - 1)];
    at += length;
  }
}

function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const length = rest.length + String(rest.length).length;
  return `${rest.length + String(length).length}${rest}`;
}

function plainName(header: Buffer): string {
  const name = textAt(header, 0, nameLength);
  const prefix = textAt(header, 257, 6) === 'ustar' && header[263] === 0x30 ? textAt(header, 345, 155) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

function numberAt(header: Buffer, at: number, length = 12): number {
  if ((header[at] ?? 0) < 0x80) return Number.parseInt(textAt(header, at, length).trim() || '0', 8);
  return header.subarray(at + 1, at + length).reduce((value, byte) => value * 256 + byte, 0);
}

function textAt(bytes: Buffer, at: number, length: number): string {
  const end = bytes.indexOf(0, at);
  return bytes.toString('latin1', at, end === -1 || end > at + length ? at + length : end);
}

function damaged(): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', 'The tar stream ends early or is damaged');
}

/** Takes whole blocks from a stream of chunks. */
class Blocks {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #current: Buffer = Buffer.alloc(0);

  constructor(stream: ByteStream) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** Tells the stream that nobody reads on. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  async take(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const part of this.pass(length)) parts.push(part);
    return Buffer.concat(parts);
  }

  async *pass(length: number): AsyncGenerator<Buffer> {
    for (let missing = length; missing > 0;) {
      if (this.#current.length === 0) {
        const next = await this.#chunks.next();
        if (next.done === true) throw damaged();
        this.#current = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
      }
      const part = this.#current.subarray(0, missing);
      this.#current = this.#current.subarray(part.length);
      missing -= part.length;
      yield part;
    }
  }
}
