import { join } from 'node:path';
import { addTask, sampleDraft, sampleNote } from '@opencode-tools/testkit';
import * as fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Store, openSqliteStore } from '../src/sqlite.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';

let temporary: ReturnType<typeof temporaryDirectory>;
let store: Store;
beforeEach(async () => {
  temporary = temporaryDirectory();
  store = await openSqliteStore({ directory: join(temporary.path, 'home') });
});
afterEach(async () => {
  await store.close();
  temporary.remove();
});

const kinds = ['fits', 'fails at once', 'fails after it has written'] as const;

test('changes committed at once share transactions, and each that fails leaves the others untouched', async () => {
  const task = await addTask(store.tasks);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...kinds), { minLength: 1, maxLength: 40 }), async (wanted) => {
      const before = await store.ledger.head(task.id);
      const notes = wanted.map((kind) => sampleNote(task.id, { version: kind === 'fits' ? 1 : 7 }));
      const outcomes = await Promise.allSettled(
        notes.map((note, index) => {
          const first = { noun: 'note', value: sampleNote(task.id, { text: 'undone' }) } as const;
          return store.tasks.commit({
            records: [
              sampleDraft(task.id, 'todo.added', ...(wanted[index] === 'fails after it has written' ? [first] : [])),
              sampleDraft(task.id, 'note.added', { noun: 'note', value: note }),
            ],
          });
        }),
      );
      const fits = wanted.map((kind) => kind === 'fits');
      expect(outcomes.map(({ status }) => status === 'fulfilled')).toEqual(fits);
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
      }
      const all = await store.tasks.listNotes(task.id);
      expect(all.filter(({ text }) => text === 'undone')).toEqual([]);
      const kept = new Set(all.map(({ id }) => id));
      expect(notes.map(({ id }) => kept.has(id))).toEqual(fits);
      const seqs = outcomes.flatMap((each) => (each.status === 'fulfilled' ? each.value.map(({ seq }) => seq) : []));
      expect(seqs).toEqual(seqs.map((_, index) => before.seq + 1 + index));
      expect(await store.ledger.verify(task.id)).toMatchObject({ broken: null });
    }),
    { numRuns: 25 },
  );
});
