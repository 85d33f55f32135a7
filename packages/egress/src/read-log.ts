import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { EgressLogEntry } from '@opencode-tools/core';

const reading = constants.O_RDONLY | constants.O_NOFOLLOW;
const longestRead = 8 * 1024 ** 2;

/** Size of a log, 0 when there is none. */
export async function logSize(path: string): Promise<number> {
  return (await withFile(path, async (file) => (await file.stat()).size)) ?? 0;
}

/** Reads whole lines of a log from a position; of more than 8 MiB the end. A file that began anew since is read from its start. */
export async function readLog(path: string, from: number): Promise<readonly EgressLogEntry[]> {
  const text = await withFile(path, async (file) => {
    const { size } = await file.stat();
    const start = Math.max(from > size ? 0 : from, size - longestRead);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    const whole = buffer.toString('utf8', 0, bytesRead);
    return start > from ? whole.slice(whole.indexOf('\n') + 1) : whole;
  });
  return (text ?? '').split('\n').flatMap(entryOf);
}

function entryOf(line: string): readonly EgressLogEntry[] {
  try {
    const entry = JSON.parse(line) as EgressLogEntry;
    return typeof entry.rule === 'string' ? [entry] : [];
  } catch {
    return [];
  }
}

async function withFile<T>(
  path: string,
  use: (file: Awaited<ReturnType<typeof open>>) => Promise<T>,
): Promise<T | undefined> {
  try {
    await using file = await open(path, reading);
    return await use(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
