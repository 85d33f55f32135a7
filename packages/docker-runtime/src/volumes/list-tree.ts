import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { ByteStream, VolumeListing, VolumeNode } from '@opencode-tools/core';
import type { Containers } from '../engine/containers.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import { whileProgressing, withinQuiet } from '../engine/progress.ts';
import { volumeTarget } from './helper-container.ts';
import {
  type Reading,
  changedWhileRead,
  createReader,
  longestReadMs,
  stdoutOf,
  tarOptions,
  unreadable,
} from './read-with-tar.ts';

const fields = '%y %m %U %G %s %n %D:%i %T@ %C@ %P\\0%l\\0';

/**
 * Lists the volume, then waits for how many bytes of names follow, reads them, writes a tar of what they name, and says how that ended.
 *
 * @param mark ends the listing and the tar; nobody who makes names, links or files can know it
 */
function scriptFor(mark: string): string {
  const options = tarOptions.map((option) => `'${option}'`).join(' ');
  return [
    'set -eu; export LC_ALL=C',
    'date +%s%N',
    `find ${volumeTarget} -xdev -printf '${fields}'; printf '${mark}\\0'`,
    'read -r bytes',
    'code=0',
    `head -c "$bytes" | tar ${options} --no-recursion --no-unquote --null --files-from=- || code=$?`,
    `printf '${mark}%03d' "$code"`,
  ].join('\n');
}

/**
 * Lists a volume with GNU find in a container of one of the images, which then reads what it is told to.
 *
 * @returns undefined when the engine has none of the images
 */
export async function listWithFind(
  engine: { readonly client: EngineClient; readonly containers: Containers },
  reading: Reading,
): Promise<VolumeListing | undefined> {
  const mark = randomBytes(16).toString('hex');
  const run = { command: ['sh', '-c', scriptFor(mark)], stdin: true };
  for (const image of reading.images) {
    const id = await createReader(engine.containers, image, reading, run);
    if (id !== undefined) return listing(engine, id, mark, reading);
  }
  return undefined;
}

async function listing(
  { client, containers }: { readonly client: EngineClient; readonly containers: Containers },
  id: string,
  mark: string,
  { volume, signal }: Reading,
): Promise<VolumeListing> {
  await using opening = new AsyncDisposableStack();
  const over = new AbortController();
  opening.defer(() => containers.remove(id));
  opening.defer(() => over.abort());
  const attached = await containers.startAttached(id, { stdin: true, moves: true }, (stream) => stream);
  opening.defer(() => void attached.destroy());
  const exited = containers.wait(id, longestReadMs, over.signal);
  exited.catch(() => undefined);
  const stderr: Buffer[] = [];
  const broken = async (told?: number): Promise<Error> => {
    const code = await withinQuiet(exited, client.quietMs);
    return unreadable(volume, told ?? code, Buffer.concat(stderr).toString('utf8'));
  };
  const output = stdoutOf(whileProgressing(attached, client.quietMs), stderr, signal)[Symbol.asyncIterator]();
  const head = await readListing(output, mark);
  if (head === undefined) throw await broken();
  const open = opening.move();
  return {
    ...head,
    read: (paths) => readNames(attached, output, paths, { mark, broken }),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

/** The engine takes its time to say how a container ended; what was read does not wait for that. */
async function* readNames(
  attached: Duplex,
  output: AsyncIterator<Uint8Array>,
  paths: readonly string[],
  { mark, broken }: { readonly mark: string; readonly broken: (told?: number) => Promise<Error> },
): ByteStream & AsyncGenerator<Uint8Array> {
  const names = Buffer.from(paths.map((path) => `./${path}\0`).join(''), 'latin1');
  attached.write(Buffer.concat([Buffer.from(`${names.length}\n`), names]));
  const code = yield* upToEnding(output, mark);
  if (code === undefined || code > changedWhileRead) throw await broken(code);
}

/**
 * Passes on what comes before the mark and a number of three digits, with which the output ends.
 *
 * @returns the number; undefined for an output that ends otherwise
 */
export async function* upToEnding(
  output: AsyncIterator<Uint8Array>,
  mark: string,
): AsyncGenerator<Uint8Array, number | undefined> {
  const length = mark.length + 3;
  let held = Buffer.alloc(0);
  for (;;) {
    const { done, value } = await output.next();
    if (done === true) return undefined;
    if (value.length < length) held = Buffer.concat([held, value]);
    else {
      if (held.length > 0) yield held;
      yield value.subarray(0, -length);
      held = Buffer.from(value.subarray(-length));
    }
    if (held.length > length) yield held.subarray(0, -length);
    held = held.subarray(-length);
    const ending = held.toString('latin1');
    if (ending.startsWith(mark)) return Number(ending.slice(mark.length));
  }
}

/** Takes the listing off the output, as it comes; undefined when it ends before. */
export async function readListing(
  output: AsyncIterator<Uint8Array>,
  mark: string,
): Promise<Pick<VolumeListing, 'startedNs' | 'nodes'> | undefined> {
  const nodes: VolumeNode[] = [];
  let startedNs: bigint | undefined;
  let text = '';
  for (;;) {
    const { done, value } = await output.next();
    if (done === true) return undefined;
    text += Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
    let from = 0;
    if (startedNs === undefined) {
      from = text.indexOf('\n') + 1;
      if (from === 0) continue;
      startedNs = BigInt(text.slice(0, from - 1));
    }
    for (let line = text.indexOf('\0', from); line !== -1; line = text.indexOf('\0', from)) {
      // Two parts a name, each with a zero at its end; the mark is none of them, for it has no space.
      if (line - from === mark.length && text.startsWith(mark, from)) return { startedNs, nodes };
      const end = text.indexOf('\0', line + 1);
      if (end === -1) break;
      nodes.push(parseNode(text.slice(from, line), text.slice(line + 1, end)));
      from = end + 1;
    }
    text = text.slice(from);
  }
}

const types: Readonly<Record<string, VolumeNode['type']>> = { f: 'file', d: 'directory', l: 'symlink' };

function parseNode(line: string, target: string): VolumeNode {
  const words: string[] = [];
  let from = 0;
  while (words.length < 9) {
    const end = line.indexOf(' ', from);
    words.push(line.slice(from, end));
    from = end + 1;
  }
  const [type = '', mode = '', uid = '', gid = '', size = '', links = '', identity = '', modified = '', changed = ''] =
    words;
  return {
    path: line.slice(from),
    type: types[type] ?? 'other',
    mode: Number.parseInt(mode, 8),
    uid: Number(uid),
    gid: Number(gid),
    size: Number(size),
    links: Number(links),
    identity,
    modifiedNs: nanoseconds(modified),
    changedNs: nanoseconds(changed),
    target,
  };
}

/** Seconds with a fraction of ten digits, as find writes them. */
function nanoseconds(text: string): bigint {
  const point = text.indexOf('.');
  return BigInt(text.slice(0, point) + text.slice(point + 1, point + 10));
}
