import {
  type IdKind,
  OpencodeToolsError,
  type Put,
  type RecordPayload,
  type StoredRecord,
  type TaskId,
  isId,
  sha256,
} from '@opencode-tools/core';
import { type Plan, allRows } from '../query/plan.ts';
import type { Traits } from '../query/traits.ts';
import { searchedNouns } from '../write/search-document.ts';
import { brokenChain } from './go-on-with.ts';
import type { ReadChain } from './ledger-transfer.ts';
import { isWellFormed } from './put-shapes.ts';
import { placeholders, raw } from './raw.ts';

/** Where the rows of each noun are; the key of the others is their task. */
const tables = new Map<string, string>(
  Object.entries({
    session: 'sessions',
    lease: 'leases',
    execution: 'executions',
    decision: 'decisions',
    todo: 'todos',
    note: 'notes',
    claim: 'claims',
    message: 'messages',
    checkpoint: 'checkpoints',
    checkpointRemoval: 'checkpoints',
    operation: 'operations',
  } satisfies Partial<Record<Put['noun'], string>>),
);
const byTask = new Set<string>(['sandbox', 'receipt'] satisfies readonly Put['noun'][]);
/** A search document is found by the id of its thing, whatever its noun. */
const documents = { table: 'search_documents', key: 'entity_id' };
const idsAtOnce = 500;

/** Ids that chains write rows by, for each table, with the task that each is for. */
export type RowsOfChains = ReadonlyMap<string, ReadonlyMap<string, TaskId>>;

/**
 * What chains from elsewhere would write. A chain proves that nothing was changed since it was made, not who made it: it
 * writes rows of its own task only.
 *
 * @throws OpencodeToolsError `OCT_POLICY_DENIED` for a row of another task, or one that two chains write;
 *   `OCT_LEDGER_BROKEN` for a payload that is none, or that puts what no row can be: one that is read with others would stop
 *   them all
 */
export function rowsOfChains(chains: readonly ReadChain[]): RowsOfChains {
  const rows = new Map<string, Map<string, TaskId>>();
  for (const chain of chains) {
    const taskId = chain.stream as TaskId;
    const add = (table: string, id: string): void => {
      const ids = rows.get(table) ?? new Map<string, TaskId>();
      if ((ids.get(id) ?? taskId) !== taskId) throw foreignRow(taskId, `a row of another task, ${id}`);
      rows.set(table, ids.set(id, taskId));
    };
    for (const [put, record] of putsWithRecords(chain)) {
      const table = tableOf(put, taskId);
      if (!isWellFormed(put)) throw unparsable(chain, record, `a ${put.noun}`);
      if (table === null || !('id' in put.value)) continue;
      add(table, put.value.id);
      if (searchedNouns.has(put.noun)) add(documents.table, put.value.id);
    }
  }
  return rows;
}

/** Part of the transaction that writes the rows: none of them is one of another task's. @throws OpencodeToolsError `OCT_POLICY_DENIED` */
export function* assertOwnRows({ engine }: Traits, rows: RowsOfChains): Plan<void> {
  for (const [table, owners] of rows) {
    const key = table === documents.table ? documents.key : 'id';
    const ids = [...owners.keys()];
    for (let at = 0; at < ids.length; at += idsAtOnce) {
      const some = ids.slice(at, at + idsAtOnce);
      const text = `select ${key} as id, task_id from ${table} where ${key} in (${placeholders(engine, some.length)})`;
      for (const found of yield* allRows(raw<{ id: string; task_id: string }>(text, some))) {
        const taskId = owners.get(found.id);
        if (taskId !== undefined && taskId !== found.task_id) {
          throw foreignRow(taskId, `a row of another task, ${found.id}`);
        }
      }
    }
  }
}

/** What the records of a chain put. One that was changed is left to whoever checks the chain. */
export function* putsOf(chain: ReadChain): Generator<Put> {
  for (const [put] of putsWithRecords(chain)) yield put;
}

function* putsWithRecords(chain: ReadChain): Generator<readonly [Put, StoredRecord]> {
  for (const record of chain.records) {
    if (record.payload === null) continue;
    const puts = parsedPuts(record.payload);
    if (puts !== undefined) for (const put of puts) yield [put, record];
    else if (sha256(record.payload) === record.payloadDigest) throw unparsable(chain, record, 'a payload');
  }
}

function unparsable({ stream }: ReadChain, { seq, payload }: StoredRecord, expected: string): OpencodeToolsError {
  return brokenChain({ stream, seq, fault: 'unparsable', expected, found: payload?.slice(0, 80) ?? 'nothing' });
}

export function foreignRow(taskId: TaskId, what: string, remedy?: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_POLICY_DENIED', `The ledger of ${taskId} would change ${what}`, {
    remedy: remedy ?? 'Do not take it in: no export of a task has that.',
    details: { taskId },
  });
}

/** The table that a put writes into by its id, null when it does by its task. */
function tableOf(put: Put, taskId: TaskId): string | null {
  const { noun = '', value } = (put as Partial<Unread> | null) ?? {};
  const table = tables.get(noun);
  const isKnown = table === undefined ? noun === 'task' || byTask.has(noun) : hasId(noun, value?.id);
  if (isKnown && (noun === 'task' ? value?.id : value?.taskId) === taskId) return table ?? null;
  throw foreignRow(taskId, 'a row of something else');
}

function hasId(noun: string, id: unknown): boolean {
  const kind = noun === 'checkpointRemoval' ? 'checkpoint' : (noun as IdKind);
  return typeof id === 'string' && isId(kind, id);
}

/** What is known of a put that anybody may have written. */
interface Unread {
  readonly noun: string;
  readonly value: { readonly id?: unknown; readonly taskId?: unknown } | null;
}

/** What a payload puts; undefined for a text that is none. */
export function parsedPuts(payload: string): readonly Put[] | undefined {
  try {
    const { puts } = JSON.parse(payload) as Partial<RecordPayload>;
    return Array.isArray(puts) ? puts : undefined;
  } catch {
    return undefined;
  }
}
