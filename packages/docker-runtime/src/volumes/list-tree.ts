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
 * Lists the volume, then waits for how many bytes of names follow, reads them, and writes a tar of what they name.
 *
 * @param mark ends the listing; nobody who makes names or links can know it
 */
function scriptFor(mark: string): string {
  const options = tarOptions.map((option) => `'${option}'`).join(' ');
  return [
    'set -eu; export LC_ALL=C',
    'date +%s%N',
    `find ${volumeTarget} -xdev -printf '${fields}'; printf '${mark}\\0'`,
    'read -r bytes',
    `head -c "$bytes" | tar ${options} --no-recursion --no-unquote --null --files-from=-`,
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
  const attached = await containers.attach(id, { stdin: true, moves: true });
  opening.defer(() => void attached.destroy());
  const exited = containers.wait(id, longestReadMs, over.signal);
  exited.catch(() => undefined);
  await containers.act(id, 'start');
  const stderr: Buffer[] = [];
  const end = async (): Promise<void> => {
    const code = await withinQuiet(exited, client.quietMs);
    if (code > changedWhileRead) throw unreadable(volume, code, Buffer.concat(stderr).toString('utf8'));
  };
  const output = stdoutOf(whileProgressing(attached, client.quietMs), stderr, signal)[Symbol.asyncIterator]();
  const head = await readListing(output, mark);
  if (head === undefined) {
    await end();
    throw unreadable(volume, 0, Buffer.concat(stderr).toString('utf8'));
  }
  const open = opening.move();
  return {
    ...head,
    read: (paths) => readNames(attached, output, paths, end),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

async function* readNames(
  attached: Duplex,
  output: AsyncIterator<Uint8Array>,
  paths: readonly string[],
  end: () => Promise<void>,
): ByteStream & AsyncGenerator<Uint8Array> {
  const names = Buffer.from(paths.map((path) => `./${path}\0`).join(''), 'latin1');
  attached.write(Buffer.concat([Buffer.from(`${names.length}\n`), names]));
  yield* { [Symbol.asyncIterator]: () => output };
  await end();
}

/** Takes the listing off the output; undefined when it ends before. */
export async function readListing(
  output: AsyncIterator<Uint8Array>,
  mark: string,
): Promise<Pick<VolumeListing, 'startedNs' | 'nodes'> | undefined> {
  const chunks: Uint8Array[] = [];
  const end = Buffer.from(`\0${mark}\0`);
  let tail: Uint8Array = new Uint8Array();
  for (;;) {
    const { done, value } = await output.next();
    if (done === true) return undefined;
    chunks.push(value);
    // Nothing follows the mark before names are written, so it is at the very end.
    tail = Buffer.concat([tail, value]).subarray(-end.length);
    if (end.equals(tail)) return parseListing(Buffer.concat(chunks).toString('latin1'));
  }
}

function parseListing(text: string): Pick<VolumeListing, 'startedNs' | 'nodes'> {
  const firstLine = text.indexOf('\n');
  const parts = text.slice(firstLine + 1).split('\0');
  const nodes: VolumeNode[] = [];
  // Two parts a name, then the mark and what follows its zero.
  for (let index = 0; index + 3 < parts.length; index += 2)
    nodes.push(parseNode(parts[index] ?? '', parts[index + 1] ?? ''));
  return { startedNs: BigInt(text.slice(0, firstLine)), nodes };
}

const types: Readonly<Record<string, VolumeNode['type']>> = { f: 'file', d: 'directory', l: 'symlink' };

function parseNode(line: string, target: string): VolumeNode {
  const words = line.split(' ', 9);
  const [type = '', mode = '', uid = '', gid = '', size = '', links = '', identity = '', modified = '', changed = ''] =
    words;
  return {
    path: line.slice(words.join(' ').length + 1),
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
  const [seconds = '0', fraction = ''] = text.split('.');
  const part = BigInt(fraction.padEnd(9, '0').slice(0, 9));
  return BigInt(seconds) * 1_000_000_000n + (seconds.startsWith('-') ? -part : part);
}
