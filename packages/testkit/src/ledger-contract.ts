import {
  type Ledger,
  type StoredRecord,
  type StreamId,
  type Task,
  type TaskId,
  genesisHash,
} from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OpenRegistry } from './open-registry.ts';
import { addRows, addTask, sampleActor, sampleDraft, sampleNote } from './registry-samples.ts';

/** Says what every `Ledger` does. Called at the top level of a test file. */
export function ledgerContract(name: string, open: () => Promise<OpenRegistry>): void {
  describe(`${name} as a ledger`, () => {
    let registry: OpenRegistry;
    let ledger: Ledger;
    let task: Task;
    beforeEach(async () => {
      registry = await open();
      ({ ledger } = registry);
      task = await addTask(registry.tasks);
    });
    afterEach(async () => registry.close());

    test('keeps a record with everything that its hash covers', async () => {
      const draft = {
        stream: task.id,
        type: 'note.added',
        actor: sampleActor,
        puts: [{ noun: 'note', value: sampleNote(task.id, { text: 'Ünïcode ☃\u2028' }) }],
        detail: { number: 1e21, small: 1e-7, list: [null, true] },
        token: 7,
        operationId: 'opn_1',
        correlationId: 'corr',
        causationId: `${task.id}/1`,
      } as const;
      const [appended] = await registry.tasks.commit({ records: [draft] });
      const [stored] = await ledger.read(task.id, { afterSeq: 1 });
      const { payload, ...record } = stored ?? { payload: null };
      expect(record).toEqual(appended);
      expect(record).toMatchObject({
        seq: 2,
        token: 7,
        operationId: 'opn_1',
        correlationId: 'corr',
        homeId: registry.tasks.homeId,
      });
      expect(JSON.parse(payload ?? '')).toEqual({ puts: draft.puts, detail: draft.detail });
    });

    test('reads forwards, backwards, after and before a number, by type and by noun', async () => {
      for (const type of ['note.added', 'todo.added', 'note.changed'] as const) {
        await registry.tasks.commit({ records: [sampleDraft(task.id, type)] });
      }
      const seqs = async (options: Parameters<Ledger['read']>[1]) =>
        (await ledger.read(task.id, options)).map(({ seq }) => seq);
      expect(await seqs({})).toEqual([1, 2, 3, 4]);
      expect(await seqs({ newestFirst: true, limit: 2 })).toEqual([4, 3]);
      expect(await seqs({ afterSeq: 2 })).toEqual([3, 4]);
      expect(await seqs({ newestFirst: true, beforeSeq: 4, limit: 2 })).toEqual([3, 2]);
      expect(await seqs({ afterSeq: 1, beforeSeq: 3 })).toEqual([2]);
      expect(await seqs({ types: ['note.'] })).toEqual([2, 4]);
      expect(await seqs({ types: ['note.added', 'todo.'] })).toEqual([2, 3]);
      expect(await seqs({ types: [] })).toEqual([]);
      expect(await seqs({ types: ['%'] })).toEqual([]);
      await expect(ledger.read(task.id, { limit: 10_001 })).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    });

    test('knows every stream and its head', async () => {
      expect(await ledger.listStreams()).toEqual(expect.arrayContaining(['home', task.id]));
      expect(await ledger.head('tsk_00000000000000000000000000')).toEqual({ seq: 0, hash: genesisHash });
      const [record] = await addRows(registry.tasks, task.id);
      expect(await ledger.head(task.id)).toEqual({ seq: 2, hash: record?.hash });
    });

    test('tells which streams have no chain', async () => {
      const absent = 'tsk_00000000000000000000000000' as TaskId;
      expect(await ledger.withoutChain([task.id, absent, 'home'])).toEqual([absent]);
      expect(await ledger.withoutChain([])).toEqual([]);
    });

    test('checks all chains as it checks one', async () => {
      await addTask(registry.tasks);
      const streams = await ledger.listStreams();
      const each = await Promise.all(streams.map(async (stream) => ledger.verify(stream)));
      const records = each.reduce((sum, chain) => sum + chain.records, 0);
      expect(await ledger.verifyAll()).toEqual({ chains: streams.length, records, broken: [] });
    });

    describe('followed over all streams', () => {
      /** Reads on until there is nothing more. */
      const readAll = async (after: string | null, limit: number, streams?: readonly StreamId[]) => {
        const records: StoredRecord[] = [];
        for (let cursor = after; ;) {
          const page = await ledger.follow({ after: cursor, limit, ...(streams === undefined ? {} : { streams }) });
          records.push(...page.records);
          ({ cursor } = page);
          if (page.records.length < limit && !(await ledger.waitForMore(cursor, { timeoutMs: 0 })))
            return { records, cursor };
        }
      };
      const keyOf = ({ stream, seq }: StoredRecord) => `${stream}/${seq}`;

      test('gives every record once, those of a stream in order, whatever the page size', async () => {
        const other = await addTask(registry.tasks);
        for (let index = 0; index < 7; index += 1) {
          await registry.tasks.commit({
            records: [
              sampleDraft(task.id, 'note.added'),
              sampleDraft(other.id, 'note.added'),
              sampleDraft(task.id, 'todo.added'),
            ],
          });
        }
        const expected = (await Promise.all((await ledger.listStreams()).map((stream) => ledger.read(stream)))).flat();
        for (const limit of [1, 4, 1_000]) {
          const { records } = await readAll(null, limit);
          expect(records.map(keyOf).toSorted()).toEqual(expected.map(keyOf).toSorted());
          for (const stream of [task.id, other.id]) {
            expect(records.filter((record) => record.stream === stream)).toEqual(await ledger.read(stream));
          }
        }
        const { records: filtered } = await readAll(null, 3, [other.id]);
        expect(filtered).toEqual(await ledger.read(other.id));
      });

      test('goes on from a cursor, from the end on only with what comes', async () => {
        const { cursor } = await readAll(null, 10);
        const end = await ledger.endCursor();
        expect((await ledger.follow({ after: end })).records).toEqual([]);
        const [record] = await addRows(registry.tasks, task.id);
        for (const after of [cursor, end]) {
          expect((await readAll(after, 10)).records.map(keyOf)).toEqual([`${task.id}/${record?.seq}`]);
        }
      });

      test('misses nothing while many write at once', async () => {
        const others = await Promise.all(Array.from({ length: 4 }, () => addTask(registry.tasks)));
        const { cursor: start } = await readAll(null, 100);
        let writing = true;
        const write = async (id: TaskId, index: number) => {
          for (let count = 0; count < 15; count += 1) {
            const first = sampleDraft(index % 2 === 0 ? id : 'home', 'note.added');
            await registry.tasks.commit({ records: [first, sampleDraft(id, 'todo.added')] });
          }
        };
        const written = Promise.all([...others, ...others].map(({ id }, index) => write(id, index))).finally(
          () => (writing = false),
        );
        const seen: StoredRecord[] = [];
        for (let cursor = start; ;) {
          const over = !writing;
          const page = await ledger.follow({ after: cursor, limit: 7 });
          seen.push(...page.records);
          ({ cursor } = page);
          if (!(await ledger.waitForMore(cursor, { timeoutMs: 5 })) && over) break;
        }
        await written;
        expect(new Set(seen.map(keyOf)).size).toBe(8 * 15 * 2);
        expect(seen).toHaveLength(8 * 15 * 2);
        for (const stream of ['home', ...others.map(({ id }) => id)] as const) {
          const seqs = seen.filter((record) => record.stream === stream).map(({ seq }) => seq);
          expect(seqs).toEqual(seqs.toSorted((left, right) => left - right));
        }
      });

      test('waits until there is more, until the time is over, or until it is called off', async () => {
        const cursor = await ledger.endCursor();
        expect(await ledger.waitForMore(cursor, { timeoutMs: 30 })).toBe(false);
        expect(await ledger.waitForMore(null, { timeoutMs: 0 })).toBe(true);
        const waiting = ledger.waitForMore(cursor, { timeoutMs: 30_000 });
        await addRows(registry.tasks, task.id);
        expect(await waiting).toBe(true);
        const abort = new AbortController();
        const called = ledger.waitForMore(await ledger.endCursor(), { timeoutMs: 30_000, signal: abort.signal });
        abort.abort();
        expect(await called).toBe(false);
      });

      test('refuses what is no cursor, and one of an epoch before', async () => {
        const cursor = await ledger.endCursor();
        for (const wrong of ['', 'x', Buffer.from('["follow",1]').toString('base64url')]) {
          await expect(ledger.follow({ after: wrong })).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
        }
        await registry.admin.startEpoch('restored');
        await expect(ledger.follow({ after: cursor })).rejects.toMatchObject({
          code: 'OCT_INVALID_ARGUMENT',
          message: expect.stringContaining('epoch') as string,
        });
      });
    });

    test('verifies a chain longer than one batch, while it grows', async () => {
      const records = Array.from({ length: 2_100 }, () => sampleDraft(task.id, 'note.added'));
      await registry.tasks.commit({ records });
      const [report] = await Promise.all([ledger.verify(task.id), addRows(registry.tasks, task.id)]);
      expect(report.broken).toBeNull();
      expect(report.records).toBeGreaterThanOrEqual(2_101);
      expect(await ledger.verify(task.id)).toMatchObject({ records: 2_102, broken: null });
    });
  });
}
