import { hash, randomBytes } from 'node:crypto';
import { link, lstat, open, readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { getuid, kill, pid as ownPid } from 'node:process';
import { OpencodeToolsError } from '@opencode-tools/core';
import { quoted } from '../arguments/usage-error.ts';

/** What is not whole yet has this name, which says on what machine and by which process it is written. */
const form = /^\.opencode-tools-export-([0-9a-f]{8})-([1-9]\d*)-[0-9a-f]{12}$/u;

/**
 * Writes beside, and gives the file its name when it is whole; one that exists stays. What a process of this machine that was killed has left there
 * of another export is removed.
 *
 * @returns bytes of the file
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT`, `OCT_RESOURCE_LIMIT` for a full disk
 */
export async function writeWhole(file: string, stream: AsyncIterable<Uint8Array>): Promise<number> {
  if (await exists(file)) throw taken(file);
  const directory = dirname(file);
  await removeAbandoned(directory);
  const beside = join(directory, `.opencode-tools-export-${machine()}-${ownPid}-${randomBytes(6).toString('hex')}`);
  const out = await open(beside, 'wx', 0o600).catch((cause: unknown) => {
    throw notWritten(file, cause);
  });
  let writing = Promise.resolve();
  try {
    let sizeBytes = 0;
    // While some is written the next is made.
    for await (const bytes of stream) {
      await writing;
      writing = out.writeFile(bytes);
      writing.catch(() => undefined);
      sizeBytes += bytes.length;
    }
    await writing;
    await out.sync();
    await link(beside, file).catch((cause: unknown) => {
      throw isErrno(cause, 'EEXIST') ? taken(file) : notWritten(file, cause);
    });
    return sizeBytes;
  } catch (cause) {
    throw cause instanceof Error && 'errno' in cause ? notWritten(file, cause) : cause;
  } finally {
    await writing.catch(() => undefined);
    await out.close();
    await rm(beside, { force: true });
  }
}

async function removeAbandoned(directory: string): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  for (const name of names) {
    const [, where, pid] = form.exec(name) ?? [];
    if (where !== machine() || isAlive(Number(pid))) continue;
    const path = join(directory, name);
    const facts = await lstat(path).catch(() => undefined);
    const isOwn = facts?.isFile() === true && facts.uid === (getuid?.() ?? facts.uid);
    if (isOwn) await rm(path, { force: true }).catch(() => undefined);
  }
}

/** Numbers of processes say nothing about those of another machine, which may write into the same directory. */
function machine(): string {
  return hash('sha256', hostname(), 'hex').slice(0, 8);
}

function isAlive(pid: number): boolean {
  try {
    return kill(pid, 0);
  } catch (error) {
    return !isErrno(error, 'ESRCH');
  }
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function taken(file: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The file ${quoted(file)} exists`, {
    remedy: 'Name one that does not exist.',
    details: { argument: 'file' },
  });
}

function notWritten(file: string, cause: unknown): OpencodeToolsError {
  if (isErrno(cause, 'ENOSPC') || isErrno(cause, 'EDQUOT')) {
    return new OpencodeToolsError('OCT_RESOURCE_LIMIT', `There is no room left for the file ${quoted(file)}`, {
      remedy: 'Make room on the disk, then try again; nothing of it was left there.',
      details: { limit: 'disk', file },
      cause,
    });
  }
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The file ${quoted(file)} cannot be written`, {
    remedy: `Check that ${quoted(dirname(file))} is a directory that may be written and has room.`,
    details: { argument: 'file' },
    cause,
  });
}
