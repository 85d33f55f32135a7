import { type ByteStream, OpencodeToolsError, printable } from '@opencode-tools/core';
import type { Containers } from '../engine/containers.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import { whileProgressing, withinQuiet } from '../engine/progress.ts';
import { hasStatus } from '../engine/engine-error.ts';
import { Demultiplexer } from '../lane/demultiplex.ts';
import { helperOptions, volumeTarget } from './helper-container.ts';

export interface Reading {
  readonly homeId: string;
  readonly volume: string;
  readonly images: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

/** Those attributes that are the user's: what a tree of the content store has. */
export const xattrOptions = [
  '--xattrs',
  '--xattrs-include=user.*',
  '--xattrs-include=system.posix_acl_*',
  '--xattrs-include=security.capability',
] as const;

/** How every tar of a volume is written. */
export const tarOptions = [
  '--create',
  '--format=pax',
  '--pax-option=delete=atime,delete=ctime',
  '--numeric-owner',
  ...xattrOptions,
  `--directory=${volumeTarget}`,
] as const;

const tarArguments = ['tar', ...tarOptions, '--sort=name', '--one-file-system', '.'];

/** Exit code of GNU tar for files that changed while they were read; the stream is whole. */
export const changedWhileRead = 1;

/**
 * Streams a volume with GNU tar in a container of one of the images, for times in nanoseconds. The volume is mounted
 * read-only, and the image is one of ours: never one that a task has changed.
 *
 * @returns undefined when the engine has none of the images
 */
export async function readWithTar(
  engine: { readonly client: EngineClient; readonly containers: Containers },
  reading: Reading,
): Promise<ByteStream | undefined> {
  for (const image of reading.images) {
    const id = await createReader(engine.containers, image, reading, { command: tarArguments, stdin: false });
    if (id !== undefined) return stream(engine, id, reading);
  }
  return undefined;
}

/** @returns the id of a container that has the volume for reading, not yet started; undefined when there is no such image */
export async function createReader(
  containers: Containers,
  image: string,
  { homeId, volume }: Reading,
  { command, stdin }: { readonly command: readonly string[]; readonly stdin: boolean },
): Promise<string | undefined> {
  const base = helperOptions(homeId, volume, true) as { HostConfig: object };
  const host = { ...base.HostConfig, CapAdd: ['DAC_READ_SEARCH'], ReadonlyRootfs: true };
  const options = {
    ...base,
    Image: image,
    Entrypoint: [],
    Cmd: command,
    AttachStdin: stdin,
    OpenStdin: stdin,
    StdinOnce: stdin,
    WorkingDir: '/',
    Healthcheck: { Test: ['NONE'] },
    HostConfig: host,
  };
  try {
    return await containers.create(undefined, options);
  } catch (error) {
    if (hasStatus(error, 404)) return undefined;
    throw error;
  }
}

export const longestReadMs = 24 * 60 * 60_000;

async function* stream(
  { client, containers }: { readonly client: EngineClient; readonly containers: Containers },
  id: string,
  { volume, signal }: Reading,
): AsyncGenerator<Uint8Array> {
  const stderr: Buffer[] = [];
  const over = new AbortController();
  try {
    const attached = await containers.startAttached(id, { stdin: false, moves: true }, (stream) => stream);
    const exited = containers.wait(id, longestReadMs, over.signal);
    exited.catch(() => undefined);
    yield* stdoutOf(whileProgressing(attached, client.quietMs), stderr, signal);
    const code = await withinQuiet(exited, client.quietMs);
    if (code > changedWhileRead) throw unreadable(volume, code, Buffer.concat(stderr).toString('utf8'));
  } finally {
    over.abort();
    await containers.remove(id);
  }
}

/** What is written to the standard output of a container, as it comes; `stderr` gets the rest. */
export async function* stdoutOf(
  attached: AsyncIterable<Buffer>,
  stderr: Buffer[],
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let ready: Buffer[] = [];
  const demultiplexer = new Demultiplexer(
    (chunk) => ready.push(chunk),
    (chunk) => stderr.push(chunk),
  );
  for await (const chunk of attached) {
    signal?.throwIfAborted();
    demultiplexer.push(chunk);
    yield* ready;
    ready = [];
  }
}

export function unreadable(volume: string, code: number, said: string): OpencodeToolsError {
  return new OpencodeToolsError(
    'OCT_INTERNAL',
    `The volume ${volume} cannot be read (its reader ended with ${code}): ${printable(said)}`,
  );
}
