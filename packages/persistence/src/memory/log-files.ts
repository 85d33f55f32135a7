import { closeSync, existsSync, fstatSync, openSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import type { StoredRecord } from '@opencode-tools/core';
import { linesFromEnd } from './line-file.ts';

/** A part of a log that was put away when it had grown large: `log.<first>-<last>.jsonl`. */
export interface LogSegment {
  readonly file: string;
  readonly first: number;
  readonly last: number;
}

export const logFile = 'log.jsonl';
const segmentName = /^log\.(\d{1,15})-(\d{1,15})\.jsonl$/;

/** The segments of a log in order. */
export function logSegments(directory: string): readonly LogSegment[] {
  if (!existsSync(directory)) return [];
  const found = readdirSync(directory).flatMap((file) => {
    const [, first, last] = segmentName.exec(file) ?? [];
    return first === undefined ? [] : [{ file, first: Number(first), last: Number(last) }];
  });
  return found.toSorted((left, right) => left.first - right.first);
}

export function segmentFile(first: number, last: number): string {
  return `log.${first}-${last}.jsonl`;
}

/** All files of a log, oldest first, as absolute paths. */
export function logFiles(directory: string): readonly string[] {
  const names = [...logSegments(directory).map(({ file }) => file), logFile];
  return names
    .map((name) => path.join(directory, name))
    .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile() === true);
}

/**
 * Reads the newest records of a log from its end, newest last. What it costs depends on them, not on how long the log is.
 *
 * @param directory of the task, or the home for its own log
 */
export async function readLogTail(directory: string, count: number): Promise<readonly StoredRecord[]> {
  const found: StoredRecord[] = [];
  for (const file of logFiles(directory).toReversed()) {
    if (found.length >= count) break;
    const opened = openSync(file, 'r');
    try {
      for (const { text, terminated } of linesFromEnd(opened, fstatSync(opened).size)) {
        if (!terminated || text === '') continue;
        found.push(JSON.parse(text) as StoredRecord);
        if (found.length >= count) break;
      }
    } finally {
      closeSync(opened);
    }
  }
  return found.toReversed();
}
