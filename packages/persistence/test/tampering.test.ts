import { join } from 'node:path';
import type { Task } from '@opencode-tools/core';
import { addRows, addTask, sampleNote } from '@opencode-tools/testkit';
import Database from 'better-sqlite3';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Store, openSqliteStore } from '../src/sqlite.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';

const records = 24;
let temporary: ReturnType<typeof temporaryDirectory>;
let store: Store;
let task: Task;
let database: Database.Database;
beforeAll(async () => {
  temporary = temporaryDirectory();
  const directory = join(temporary.path, 'home');
  store = await openSqliteStore({ directory });
  task = await addTask(store.tasks);
  for (let index = 1; index < records; index += 1) {
    await addRows(store.tasks, task.id, { noun: 'note', value: sampleNote(task.id, { text: `note ${index}` }) });
  }
  await store.memory.project();
  database = new Database(join(directory, 'registry.db'));
});
afterAll(async () => {
  database.close();
  await store.close();
  temporary.remove();
});

const columns = [
  'stream',
  'seq',
  'v',
  'type',
  'at',
  'actor',
  'home_id',
  'token',
  'operation_id',
  'correlation_id',
  'causation_id',
  'payload_digest',
  'prev_hash',
  'hash',
  'payload',
] as const;
const seq = fc.integer({ min: 1, max: records });
type Deed =
  | { readonly kind: 'change'; readonly seq: number; readonly column: (typeof columns)[number] }
  | { readonly kind: 'drop' | 'swap' | 'cut' | 'repeat' | 'erase'; readonly seq: number };
const deeds: fc.Arbitrary<Deed> = fc.oneof(
  fc.record({ kind: fc.constant('change' as const), seq, column: fc.constantFrom(...columns) }),
  fc.record({ kind: fc.constant('swap' as const), seq: fc.integer({ min: 1, max: records - 1 }) }),
  fc.record({ kind: fc.constantFrom('drop' as const, 'cut' as const, 'repeat' as const, 'erase' as const), seq }),
);

test('any change, drop, exchange, cut, repetition or erasure in a stored chain is noticed', async () => {
  await fc.assert(
    fc.asyncProperty(deeds, async (deed) => {
      expect(await store.ledger.verify(task.id)).toMatchObject({ records, broken: null });
      const restore = keepRows();
      try {
        tamper(deed);
        const { broken } = await store.ledger.verify(task.id);
        expect(broken).not.toBeNull();
        expect(broken?.seq).toBe(deed.kind === 'repeat' ? records + 1 : deed.seq);
      } finally {
        restore();
      }
    }),
    { numRuns: 300 },
  );
});

function tamper(deed: Deed): void {
  const at = [task.id, deed.seq];
  if (deed.kind === 'change') {
    const current = run(`select ${deed.column} as value from ledger where stream = ? and seq = ?`, at)[0] as {
      value: unknown;
    };
    run(`update ledger set ${deed.column} = ? where stream = ? and seq = ?`, [changed(current.value), ...at]);
  } else if (deed.kind === 'drop') run('delete from ledger where stream = ? and seq = ?', at);
  else if (deed.kind === 'cut') run('delete from ledger where stream = ? and seq >= ?', at);
  else if (deed.kind === 'erase') run('update ledger set payload = null where stream = ? and seq = ?', at);
  else if (deed.kind === 'swap') {
    run('update ledger set seq = -1 where stream = ? and seq = ?', at);
    run('update ledger set seq = ? where stream = ? and seq = ?', [deed.seq, task.id, deed.seq + 1]);
    run('update ledger set seq = ? where stream = ? and seq = -1', [deed.seq + 1, task.id]);
  } else {
    const list = columns.filter((column) => column !== 'seq').join(', ');
    run(
      `insert into ledger (seq, ${list}) select ${records + 1}, ${list} from ledger where stream = ? and seq = ?`,
      at,
    );
  }
}

function changed(value: unknown): unknown {
  if (typeof value === 'number') return value + 1_000;
  if (typeof value !== 'string') return 'x';
  return value.startsWith('0') ? `1${value.slice(1)}` : `0${value.slice(1)}`;
}

function run(sql: string, parameters: readonly unknown[]): readonly unknown[] {
  const statement = database.prepare(sql);
  if (statement.reader) return statement.all(...parameters);
  statement.run(...parameters);
  return [];
}

function keepRows(): () => void {
  const kept = database.prepare(`select position, ${columns.join(', ')} from ledger`).all() as Record<
    string,
    unknown
  >[];
  return () => {
    database.exec('delete from ledger');
    const names = ['position', ...columns];
    const insert = database.prepare(
      `insert into ledger (${names.join(', ')}) values (${names.map(() => '?').join(', ')})`,
    );
    database.transaction(() => kept.forEach((row) => insert.run(...names.map((name) => row[name]))))();
  };
}
