import { type Put, type RecordPayload, type StoredRecord } from '@opencode-tools/core';

/** A file of lines that grows with the ledger; each line says which record it comes from. */
export interface LineView {
  readonly file: string;
  lines(record: StoredRecord): readonly string[];
}

export const lineViews: readonly LineView[] = [
  { file: 'log.jsonl', lines: (record) => [JSON.stringify(record)] },
  {
    file: 'executions.jsonl',
    lines: (record) => linesOf(record, (put) => (put.noun === 'execution' ? { execution: put.value } : null)),
  },
  {
    file: 'conversations.jsonl',
    lines: (record) => linesOf(record, (put) => (put.noun === 'message' ? { message: put.value } : null)),
  },
];

/** The rows that a record left behind; none when its payload was erased. */
export function putsOf(record: StoredRecord): readonly Put[] {
  if (record.payload === null) return [];
  return (JSON.parse(record.payload) as RecordPayload).puts;
}

function linesOf(record: StoredRecord, show: (put: Put) => object | null): readonly string[] {
  if (!record.payload?.includes('"noun":"')) return [];
  const { seq, type, at } = record;
  return putsOf(record).flatMap((put) => {
    const shown = show(put);
    return shown === null ? [] : [JSON.stringify({ seq, type, at, ...shown })];
  });
}
