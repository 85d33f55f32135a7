import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { promisify } from 'node:util';
import { OpencodeToolsError } from '@opencode-tools/core';
import { errnoOf, throwIfCancelled } from './failures.ts';
import { blockLength } from './tar-member.ts';

const mostErrorBytes = 4_000;
/** So many chunks are on their way at once: tar has something to read while the next is made. */
const chunksOnTheWay = 4;
/** As much as the pipe takes, so that tar never waits long for the next. */
const pipedBytes = 128 * 1024;

/** Environment that child processes get; only apps read the process's own. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Extracts a tar stream below a directory with the system's tar, because Node cannot set times to the nanosecond.
 *
 * @param directory absolute path; members must have been checked to stay below it
 * @throws OpencodeToolsError `OCT_CAPABILITY_UNSUPPORTED` without a tar, `OCT_RESOURCE_LIMIT` when the disk is full
 */
export async function extractTar(
  directory: string,
  tar: AsyncIterable<Buffer>,
  options: {
    readonly environment: Environment;
    readonly program?: TarProgram;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<void> {
  const inLargeRecords = options.program === 'gnu' ? ['-b', String(pipedBytes / blockLength)] : [];
  // GNU tar reads a backslash in the value of -C as its own quoting.
  const child = spawn('tar', ['-x', '-p', ...inLargeRecords, '--numeric-owner', '-f', '-'], {
    cwd: directory,
    env: { PATH: options.environment['PATH'], LC_ALL: 'C' },
    stdio: ['pipe', 'ignore', 'pipe'],
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = `${complaint}${text}`.slice(0, mostErrorBytes);
  });
  const fed = feed(tar, child.stdin).catch((error: unknown) => error);
  const ended = once(child, 'close').catch((error: unknown) => [error]);
  const [feeding, [code]] = await Promise.all([fed, ended]);
  throwIfCancelled(options.signal);
  if (feeding instanceof OpencodeToolsError) throw feeding;
  if (code === 0 && feeding === undefined) return;
  throw tarFailure(code, complaint, feeding);
}

/** Memory for the chunks of a stream that `extractTar` reads: each is used again once it has been written. */
export function pipedMemory(): () => Buffer {
  // One more is being filled, and one has been handed over.
  const ring = Array.from({ length: chunksOnTheWay + 2 }, () => Buffer.allocUnsafe(pipedBytes));
  let turn = 0;
  return () => ring[(turn += 1) % ring.length] ?? Buffer.allocUnsafe(pipedBytes);
}

async function feed(tar: AsyncIterable<Buffer>, into: Writable): Promise<void> {
  const written: Promise<Error | null | undefined>[] = [];
  const settle = async (): Promise<void> => {
    const error = await written.shift();
    if (error) throw error;
  };
  // Each write reports its own failure.
  into.on('error', () => undefined);
  try {
    for await (const bytes of tar) {
      written.push(new Promise((resolve) => into.write(bytes, resolve)));
      if (written.length >= chunksOnTheWay) await settle();
    }
    while (written.length > 0) await settle();
    into.end();
  } catch (error) {
    into.destroy();
    throw error;
  }
}

/** Which program the system's tar is, as far as something depends on it. */
export type TarProgram = 'gnu' | 'libarchive' | 'another';

/** Asks the system's tar which one it is. The first two make holes of sparse members. */
export async function findTarProgram(environment: Environment): Promise<TarProgram> {
  const env = { PATH: environment['PATH'], LC_ALL: 'C' };
  try {
    const { stdout } = await promisify(execFile)('tar', ['--version'], { env, timeout: 10_000 });
    return stdout.includes('GNU tar') ? 'gnu' : stdout.includes('bsdtar') ? 'libarchive' : 'another';
  } catch {
    return 'another';
  }
}

function tarFailure(code: unknown, complaint: string, feeding: unknown): OpencodeToolsError {
  if (errnoOf(code) === 'ENOENT') {
    return new OpencodeToolsError('OCT_CAPABILITY_UNSUPPORTED', 'No tar program was found', {
      remedy: 'Install tar, or put it on PATH.',
      cause: code,
    });
  }
  const full = complaint.includes('No space left on device') || complaint.includes('Disk quota exceeded');
  return new OpencodeToolsError(
    full ? 'OCT_RESOURCE_LIMIT' : 'OCT_STORE_UNAVAILABLE',
    full
      ? 'No space is left for the files of a snapshot'
      : `Writing files ended with ${String(code)}: ${complaint.trim()}`,
    { remedy: full ? 'Free disk space, then try again.' : 'Check that the directory can be written.', cause: feeding },
  );
}
