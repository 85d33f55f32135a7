import * as fc from 'fast-check';
import {
  type Actor,
  type ChainHead,
  type HomeId,
  type RecordDraft,
  type StoredRecord,
  type TaskId,
  genesisHash,
  linkRecord,
  prepareDraft,
} from '../src/index.ts';

export const homeId: HomeId = 'hom_00000000000000000000000001';
export const taskId: TaskId = 'tsk_00000000000000000000000001';
export const genesis: ChainHead = { seq: 0, hash: genesisHash };

const text = fc.string({ unit: 'grapheme', maxLength: 12 });

const actor: fc.Arbitrary<Actor> = fc.record({
  kind: fc.constantFrom('agent', 'user', 'system'),
  id: text,
  agent: fc.option(text),
  model: fc.option(text),
  session: fc.option(fc.constantFrom('ses_00000000000000000000000001', 'ses_00000000000000000000000002')),
  onBehalfOf: fc.option(text),
});

export const recordDraft = fc.record({
  stream: fc.constant(taskId),
  type: fc.constantFrom('task.created', 'note.added', 'execution.requested', 'payload.erased'),
  actor,
  puts: fc.constant([]),
  detail: fc.dictionary(text, fc.oneof(text, fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }))),
  token: fc.option(fc.nat()),
  operationId: fc.option(fc.constantFrom('opn_00000000000000000000000001', 'opn_00000000000000000000000002')),
  correlationId: fc.option(text),
  causationId: fc.option(text),
}) as fc.Arbitrary<RecordDraft>;

/** Links drafts one after the other, as a store does. */
export function chainOf(drafts: readonly RecordDraft[], base: ChainHead = genesis): readonly StoredRecord[] {
  const records: StoredRecord[] = [];
  let head = base;
  for (const [index, draft] of drafts.entries()) {
    const prepared = prepareDraft(draft);
    const record = linkRecord(prepared, head, { at: new Date(1_800_000_000_000 + index).toISOString(), homeId });
    records.push({ ...record, payload: prepared.payload });
    head = { seq: record.seq, hash: record.hash };
  }
  return records;
}

export function headOf(records: readonly StoredRecord[], base: ChainHead = genesis): ChainHead {
  const last = records.at(-1);
  return last === undefined ? base : { seq: last.seq, hash: last.hash };
}

export const chain: fc.Arbitrary<readonly StoredRecord[]> = fc
  .array(recordDraft, { minLength: 1, maxLength: 10 })
  .map((drafts) => chainOf(drafts));

/** A chain of at least `minLength` records, and the index of one of them. */
export function chainAndIndex(minLength = 1, spared = 0) {
  return fc
    .array(recordDraft, { minLength: minLength + spared, maxLength: 10 })
    .chain((drafts) => fc.tuple(fc.constant(chainOf(drafts)), fc.nat({ max: drafts.length - 1 - spared })));
}
