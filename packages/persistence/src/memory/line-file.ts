import { readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { errnoOf } from '../home/home-file.ts';

/** Where a file of lines ends once everything past a record is cut off. */
export interface LineFileEnd {
  readonly fault: 'missing' | 'unparsable' | 'ahead-of-ledger' | null;
  /** The last line that stays; null when none does. */
  readonly lastLine: { readonly seq: number; readonly hash: string | null } | null;
}

interface Line {
  readonly seq: number;
  readonly hash: string | null;
}

const blockBytes = 65_536;

/**
 * Cuts off what a crash left: a torn last line, and lines of records past `seq`, which are written again. Reads from the
 * end only as far as needed, and touches nothing when it finds a fault.
 *
 * @param headSeq the newest record that there is; a line past it comes from somewhere else
 */
export async function rewindLineFile(file: string, seq: number, headSeq: number): Promise<LineFileEnd> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r+');
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    return { fault: 'missing', lastLine: null };
  }
  try {
    return await rewind(handle, seq, headSeq);
  } finally {
    await handle.close();
  }
}

async function rewind(handle: FileHandle, seq: number, headSeq: number): Promise<LineFileEnd> {
  const { size } = await handle.stat();
  for (const { text, end, terminated } of linesFromEnd(handle.fd, size)) {
    if (!terminated) continue;
    const line = parseLine(text);
    if (line === null) return { fault: 'unparsable', lastLine: null };
    if (line.seq > headSeq) return { fault: 'ahead-of-ledger', lastLine: null };
    if (line.seq > seq) continue;
    if (end < size) await handle.truncate(end);
    return { fault: null, lastLine: line };
  }
  if (size > 0) await handle.truncate(0);
  return { fault: null, lastLine: null };
}

export interface FoundLine {
  readonly text: string;
  /** Offset just past the line and its line break. */
  readonly end: number;
  readonly terminated: boolean;
}

/** The lines of an open file, last first; reads only as far as is asked for. A block takes less than another thread would to be asked for it. */
export function* linesFromEnd(file: number, size: number): Generator<FoundLine> {
  let tail: Buffer = Buffer.alloc(0);
  let start = size;
  let terminated = false;
  let end = size;
  while (start > 0) {
    const length = Math.min(blockBytes, start);
    start -= length;
    const block = Buffer.alloc(length);
    readSync(file, block, 0, length, start);
    tail = Buffer.concat([block, tail]);
    for (let at = tail.lastIndexOf(10); at !== -1; at = tail.lastIndexOf(10)) {
      const text = tail.subarray(at + 1).toString('utf8');
      if (text.length > 0 || terminated) yield { text, end, terminated };
      end = start + at + 1;
      terminated = true;
      tail = tail.subarray(0, at);
    }
  }
  if (tail.length > 0 || terminated) yield { text: tail.toString('utf8'), end, terminated };
}

function parseLine(text: string): Line | null {
  try {
    const { seq, hash } = JSON.parse(text) as { readonly seq?: unknown; readonly hash?: unknown };
    return typeof seq === 'number' ? { seq, hash: typeof hash === 'string' ? hash : null } : null;
  } catch {
    return null;
  }
}
