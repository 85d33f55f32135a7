import { createHash } from 'node:crypto';
import { closeSync, createReadStream, fsyncSync, openSync, renameSync } from 'node:fs';
import path from 'node:path';

/** A moment as it stands in file names: sorts as text, has no colons. */
export function fileTime(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/[:.]/g, '-');
}

export async function digestFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Gives a finished file its name, so that it survives the power going off. */
export function commitFile(temporary: string, file: string): void {
  flush(temporary);
  renameSync(temporary, file);
  flush(path.dirname(file));
}

function flush(target: string): void {
  const descriptor = openSync(target, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
