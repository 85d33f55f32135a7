// The ledger: group commit, verification of a long chain in constant memory, projection, following.
// `node --conditions=@opencode-tools/source bench/ledger.mjs --scratch DIR [--records 1000000]`
import { join } from 'node:path';
import { openSqliteStore } from '@opencode-tools/persistence/sqlite';
import { addTask, sampleDraft, sampleNote } from '@opencode-tools/testkit';
import { interleave, quantile, report, summarise } from './lib/measure.mjs';
import { registryOptions, withScratch } from './lib/scratch.mjs';

const mostProjected = 200_000;
const options = registryOptions({ rounds: 9, group: 100, records: 1_000_000 });
await withScratch(options.scratch, async (directory) => {
  if (options.wants('group')) await group(directory);
  if (options.wants('verify')) await verify(directory);
});

async function group(directory) {
  const store = await openSqliteStore({ directory: join(directory, 'group') });
  store.memory.touch = () => undefined;
  const task = await addTask(store.tasks);
  const write = () =>
    store.tasks.commit({ records: [sampleDraft(task.id, 'note.added', { noun: 'note', value: sampleNote(task.id) })] });
  const samples = await interleave(
    {
      'one by one': async () => {
        for (let count = 0; count < options.group; count += 1) await write();
      },
      'all at once': async () => {
        await Promise.all(Array.from({ length: options.group }, write));
      },
    },
    options.rounds,
  );
  await store.close();
  report(`${options.group} durable changes`, summarise(samples, 'one by one'), options);
}

async function verify(directory) {
  const store = await openSqliteStore({ directory: join(directory, 'verify') });
  const touch = store.memory.touch.bind(store.memory);
  store.memory.touch = () => undefined;
  const task = await addTask(store.tasks);
  const perCommit = 1_000;
  for (let done = 0; done < options.records; done += perCommit) {
    const records = Array.from({ length: perCommit }, (_, index) => ({
      ...sampleDraft(task.id, 'egress.decided'),
      detail: { host: 'registry.example', port: 443, allowed: true, number: done + index },
    }));
    await store.tasks.commit({ records });
  }
  const rows = [];
  const timed = async (name, work) => {
    globalThis.gc?.();
    let peak = 0;
    const before = process.memoryUsage().rss;
    const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 20);
    const from = performance.now();
    const count = await work();
    const ms = performance.now() - from;
    clearInterval(watch);
    const grownMb = Math.round((Math.max(peak, process.memoryUsage().rss) - before) / 2 ** 20);
    rows.push({ name, records: count, 'records/s': Math.round(count / (ms / 1000)), 'memory grown MB': grownMb });
  };
  for (let round = 0; round < 3; round += 1) {
    await timed('verify', async () => (await store.ledger.verify(task.id)).records);
    await timed('follow, pages of 1,000', () => followAll(store.ledger));
  }
  await lastOnes(store.ledger, task.id);
  store.memory.touch = touch;
  // One projection has ten seconds; a longer chain is never behind as a whole in practice.
  if (options.records <= mostProjected) {
    await timed('project files', async () => {
      await store.memory.project(task.id);
      return options.records;
    });
  }
  await store.close();
  report('\nOne chain on SQLite', rows, options);
}

/** The newest records of a long chain, beside reading all of it. */
async function lastOnes(ledger, taskId) {
  const samples = await interleave(
    {
      'all records': async () => {
        for (let afterSeq = 0, read = 1; read > 0; afterSeq += read) {
          read = (await ledger.read(taskId, { afterSeq, limit: 10_000 })).length;
        }
      },
      'last 100': async () => {
        await ledger.read(taskId, { newestFirst: true, limit: 100 });
      },
    },
    3,
  );
  const rows = summarise(samples, 'all records').map(({ name, medianMs }) => ({ name, medianMs }));
  const share = quantile(samples['last 100'], 0.5) / quantile(samples['all records'], 0.5);
  report(`\nThe end of one chain: ${share.toFixed(6)} of reading all`, rows, options);
}

async function followAll(ledger) {
  let count = 0;
  for (let after = null; ;) {
    const { records, cursor } = await ledger.follow({ after, limit: 1_000 });
    count += records.length;
    after = cursor;
    if (records.length === 0) return count;
  }
}
