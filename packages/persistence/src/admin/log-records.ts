import type { StoredRecord, StreamId } from '@opencode-tools/core';
import { isOpencodeToolsError } from '@opencode-tools/core';
import type { ChainHead } from '@opencode-tools/core';
import { logFiles } from '../memory/log-files.ts';
import { linesOf } from './dump-file.ts';
import { checkNext } from './go-on-with.ts';

/** A log as far as it can be trusted. */
export interface SoundLog {
  readonly base: ChainHead;
  readonly head: ChainHead;
  readonly erased: ReadonlySet<number>;
  /** Why it ends where it does; null when nothing comes after. */
  readonly fault: string | null;
  /** The records, read again from the files. */
  records(): Generator<StoredRecord>;
}

/**
 * Reads the log of a stream once from its start, to see how far its chain is whole; undefined when it has no record.
 *
 * @param directory of the task, or the home for its own log
 */
export function readSoundLog(stream: StreamId, directory: string): SoundLog | undefined {
  const erased = erasedIn(directory);
  let base: ChainHead | undefined;
  let head: ChainHead | undefined;
  let fault: string | null = null;
  try {
    for (const record of parsedLines(directory)) {
      base ??= { seq: record.seq - 1, hash: record.prevHash };
      checkNext({ stream, erased }, record, head ?? base);
      head = { seq: record.seq, hash: record.hash };
    }
  } catch (error) {
    fault = error instanceof Error ? error.message : String(error);
    if (!isOpencodeToolsError(error) && !(error instanceof SyntaxError)) throw error;
  }
  if (base === undefined || head === undefined) return undefined;
  const end = head;
  return { base, head, erased, fault, records: () => upTo(end.seq, directory) };
}

function* upTo(lastSeq: number, directory: string): Generator<StoredRecord> {
  for (const record of parsedLines(directory)) {
    if (record.seq > lastSeq) return;
    yield record;
    if (record.seq === lastSeq) return;
  }
}

function* parsedLines(directory: string): Generator<StoredRecord> {
  for (const file of logFiles(directory)) {
    for (const line of linesOf(file)) if (line !== '') yield JSON.parse(line) as StoredRecord;
  }
}

/** Numbers of records whose payload a later record says was erased. */
function erasedIn(directory: string): ReadonlySet<number> {
  const erased = new Set<number>();
  for (const file of logFiles(directory)) {
    for (const line of linesOf(file))
      if (line.includes('"payload.erased"')) erasedBy(line).forEach((seq) => erased.add(seq));
  }
  return erased;
}

export function erasedBy(line: string): readonly number[] {
  try {
    const { type, payload } = JSON.parse(line) as StoredRecord;
    if (type !== 'payload.erased' || payload === null) return [];
    const { detail } = JSON.parse(payload) as { readonly detail?: { readonly seqs?: readonly unknown[] } };
    return (detail?.seqs ?? []).filter((seq) => typeof seq === 'number');
  } catch {
    return [];
  }
}
