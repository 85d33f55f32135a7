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

test('changes committed at once share transactions, and each that fails leaves the others untouched', async () => {
  const task = await addTask(store.tasks);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }), async (fits) => {
      const before = await store.ledger.head(task.id);
      const notes = fits.map((fit) => sampleNote(task.id, { version: fit ? 1 : 7 }));
      const outcomes = await Promise.allSettled(
        notes.map((note) =>
          store.tasks.commit({
            records: [
              sampleDraft(task.id, 'todo.added'),
              sampleDraft(task.id, 'note.added', { noun: 'note', value: note }),
            ],
          }),
        ),
      );
      expect(outcomes.map(({ status }) => status === 'fulfilled')).toEqual(fits);
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
      }
      const kept = new Set((await store.tasks.listNotes(task.id)).map(({ id }) => id));
      expect(notes.map(({ id }) => kept.has(id))).toEqual(fits);
      const seqs = outcomes.flatMap((each) => (each.status === 'fulfilled' ? each.value.map(({ seq }) => seq) : []));
      expect(seqs).toEqual(seqs.map((_, index) => before.seq + 1 + index));
      expect(await store.ledger.verify(task.id)).toMatchObject({ broken: null });
    }),
    { numRuns: 25 },
  );
});
