/*
 * node --conditions=@opencode-tools/source bench/task-memory.mjs --scratch DIR [--rounds 200] [--records 1000000] [--json]
 *
 * `state.json` of tasks of several sizes, read and checked; the last 100 lines of a long log. DIR is on a journaled loop mount or a tmpfs.
 */
import { join } from 'node:path';
import { openSqliteStore } from '@opencode-tools/persistence/sqlite';
import { addTask, sampleDraft, sampleNote, sampleTodo } from '@opencode-tools/testkit';
import { interleave, report, summarise } from './lib/measure.mjs';
import { registryOptions, withScratch } from './lib/scratch.mjs';

const bar = { ms: 1 };
const options = registryOptions({ rounds: 200, records: 1_000_000 });

await withScratch(options.scratch, async (directory) => {
  const store = await openSqliteStore({ directory: join(directory, 'home') });
  store.memory.touch = () => undefined;
  const sizes = { 'a new task': 0, '20 todos and notes': 20, '100 todos and notes': 100 };
  const reads = {};
  for (const [name, count] of Object.entries(sizes)) {
    const { id } = await addTask(store.tasks);
    const records = Array.from({ length: count }, () => [
      sampleDraft(id, 'todo.added', { noun: 'todo', value: sampleTodo(id) }),
      sampleDraft(id, 'note.added', { noun: 'note', value: sampleNote(id) }),
    ]).flat();
    if (count > 0) await store.tasks.commit({ records });
    await store.memory.project(id);
    reads[`state.json of ${name}`] = () => store.memory.readState(id).then(() => undefined);
  }
  const { id } = await addTask(store.tasks);
  const perCommit = 1_000;
  for (let done = 1; done < options.records; done += perCommit) {
    const records = Array.from({ length: Math.min(perCommit, options.records - done) }, (_, index) => ({
      ...sampleDraft(id, 'egress.decided'),
      detail: { host: 'registry.example', port: 443, allowed: true, number: done + index },
    }));
    await store.tasks.commit({ records });
  }
  await store.memory.project(id);
  reads[`last 100 of ${options.records} lines`] = () => store.memory.readLogTail(id, 100).then(() => undefined);
  reads[`last 100 of ${options.records} rows`] = () =>
    store.ledger.read(id, { newestFirst: true, limit: 100 }).then(() => undefined);
  const rows = summarise(await interleave(reads, options.rounds), 'state.json of a new task');
  report('Task memory', rows, { ...options, bar });
  if (!options.json)
    for (const { name, medianMs } of rows) process.stdout.write(`${name}: ${medianMs} ms (bar ${bar.ms} ms)\n`);
  await store.close();
});
