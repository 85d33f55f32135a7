import type { Put, Task } from '@opencode-tools/core';
import type { Cell, RowsToLoad } from '../query/rows.ts';
import { toRow } from '../rows/entity-rows.ts';
import { toLeaseRow } from '../rows/lease-row.ts';
import { searchDocument } from '../write/search-document.ts';
import type { CountChanges } from '../write/task-counts.ts';

/** Rows on their way into tables that have none of them yet. */
export class RowsByTable {
  readonly #tables = new Map<string, { readonly columns: readonly string[]; readonly rows: Cell[][] }>();

  /** @param row with the members of every other row of the table, in the same order */
  add(table: string, row: Readonly<Record<string, unknown>>): void {
    const cells = Object.values(row) as Cell[];
    const found = this.#tables.get(table);
    if (found === undefined) this.#tables.set(table, { columns: Object.keys(row), rows: [cells] });
    else found.rows.push(cells);
  }

  /** In one order for all transactions. */
  tables(): readonly RowsToLoad[] {
    return [...this.#tables].map(([table, given]) => ({ table, ...given })).toSorted(byTable);
  }
}

/**
 * What the records of one chain leave behind, without asking the registry, which has nothing of it: for each thing what
 * was last put, or its newest version; for a deleted task its tombstone and what it did.
 */
export class ChainRows {
  readonly #last = new Map<string, RowPut>();
  readonly #searched = new Set<string>();

  add(put: Put): void {
    const key = `${put.noun} ${'id' in put.value ? put.value.id : put.value.taskId}`;
    if (put.noun === 'checkpointRemoval') {
      this.#last.delete(`checkpoint ${put.value.id}`);
      return;
    }
    if (put.noun === 'receipt') this.#delete(put.value.taskId);
    else if (this.#isOutdated(key, put)) return;
    this.#last.set(key, put);
    this.#searched.add(key);
  }

  moveTo(rows: RowsByTable, counts: CountChanges): void {
    for (const [key, put] of this.#last) {
      addRows[put.noun](put.value as never, rows);
      if (put.noun === 'task') counts.add(put.value.id, put.value.status, 1);
      const document = this.#searched.has(key) ? searchDocument(put) : null;
      if (document !== null) rows.add('search_documents', { ...document });
    }
  }

  #isOutdated(key: string, put: RowPut): boolean {
    if (put.noun === 'task' && this.#last.has(`receipt ${put.value.id}`)) return true;
    const last = this.#last.get(key);
    return last !== undefined && 'version' in put.value && (last.value as Task).version >= put.value.version;
  }

  #delete(taskId: string): void {
    if (this.#last.delete(`task ${taskId}`)) this.#searched.clear();
  }
}

/** A put that leaves a row behind. */
type RowPut = Exclude<Put, { readonly noun: 'checkpointRemoval' }>;

type Adders = { readonly [P in RowPut as P['noun']]: (value: P['value'], rows: RowsByTable) => void };

const addRows: Adders = {
  task: (value, rows) => {
    rows.add('tasks', toRow.tasks(value));
    for (const [name, label] of Object.entries(value.labels)) {
      rows.add('task_labels', { task_id: value.id, name, value: label });
    }
  },
  receipt: (value, rows) => rows.add('receipts', toRow.receipts(value)),
  session: (value, rows) => rows.add('sessions', toRow.sessions(value)),
  lease: (value, rows) => rows.add('leases', { ...toLeaseRow(value) }),
  claim: (value, rows) => rows.add('claims', toRow.claims(value)),
  sandbox: (value, rows) => rows.add('sandboxes', toRow.sandboxes(value)),
  execution: (value, rows) => rows.add('executions', toRow.executions(value)),
  decision: (value, rows) => rows.add('decisions', toRow.decisions(value)),
  todo: (value, rows) => rows.add('todos', toRow.todos(value)),
  note: (value, rows) => rows.add('notes', toRow.notes(value)),
  message: (value, rows) => rows.add('messages', toRow.messages(value)),
  checkpoint: (value, rows) => rows.add('checkpoints', toRow.checkpoints(value)),
  operation: (value, rows) => rows.add('operations', toRow.operations(value)),
};

function byTable(left: RowsToLoad, right: RowsToLoad): number {
  return left.table < right.table ? -1 : 1;
}
