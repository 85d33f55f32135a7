// The ledger: group commit, verification of a long chain in constant memory, projection, following.
// `node --conditions=@opencode-tools/source bench/ledger.mjs --scratch DIR [--only group,verify] [--records 1000000]`
import { createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { openSqliteStore } from '@opencode-tools/persistence/sqlite';
import { addTask, sampleDraft, sampleNote } from '@opencode-tools/testkit';
import { interleave, quantile, report, run, summarise } from './lib/measure.mjs';
import { registryOptions, withScratch } from './lib/scratch.mjs';

// V8 sets the more aside for young objects the longer a process makes many of them, whether they are kept or not.
const youngMb = '--max-semi-space-size=8';
const options = registryOptions({ rounds: 9, group: 100, few: 100_000, records: 1_000_000 });
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

/** Two lengths of one chain, each way in a process of its own, so that its memory is its own as well. */
async function verify(directory) {
  const rows = [];
  for (const count of new Set([Math.min(options.few, options.records), options.records])) {
    const home = join(directory, `chain-${count}`);
    const store = await openSqliteStore({ directory: home });
    const taskId = await fillChain(store, count);
    if (count === options.records) await longChain(store, { home, taskId, count });
    await store.close();
    const idle = await inProcess(home, 'open');
    const rounds = { raw: [], verify: [] };
    for (let round = 0; round < 3; round += 1) {
      for (const way of Object.keys(rounds)) rounds[way].push(await inProcess(home, way));
    }
    const rate = (way) =>
      count /
      (quantile(
        rounds[way].map(({ ms }) => ms),
        0.5,
      ) /
        1000);
    rows.push({
      records: count,
      'raw read + 2 digests /s': Math.round(rate('raw')),
      'verify /s': Math.round(rate('verify')),
      ratio: (rate('verify') / rate('raw')).toFixed(2),
      'MB while verifying': Math.max(...rounds.verify.map(({ peakMb }) => peakMb)),
      'MB when only open': idle.peakMb,
    });
  }
  report('\nOne chain on SQLite, verified', rows, options);
}

async function inProcess(home, way) {
  const script = fileURLToPath(new URL('lib/verify-home.mjs', import.meta.url));
  return JSON.parse(await run(process.execPath, [...process.execArgv, youngMb, script, home, way]));
}

async function fillChain(store, count) {
  store.memory.touch = () => undefined;
  const task = await addTask(store.tasks);
  const perCommit = 1_000;
  for (let done = 1; done < count; done += perCommit) {
    const records = Array.from({ length: Math.min(perCommit, count - done) }, (_, index) => ({
      ...sampleDraft(task.id, 'egress.decided'),
      detail: { host: 'registry.example', port: 443, allowed: true, number: done + index },
    }));
    await store.tasks.commit({ records });
  }
  return task.id;
}

/** Following, the newest records, and files, of the longest chain. */
async function longChain(store, { home, taskId, count }) {
  const samples = await interleave(
    {
      'all records, in pages': () => readAll(store.ledger, taskId),
      'last 100 records': () => store.ledger.read(taskId, { newestFirst: true, limit: 100 }).then(() => undefined),
      'all followed, pages of 1,000': () => followAll(store.ledger),
    },
    3,
  );
  const rows = summarise(samples, 'all records, in pages').map(({ name, medianMs, ratio }) => ({
    name,
    medianMs,
    ratio,
  }));
  const last = quantile(samples['last 100 records'], 0.5) / quantile(samples['all records, in pages'], 0.5);
  report(`\nThe end of ${count} rows: ${last.toFixed(6)} of reading all`, rows, options);
  await logFile(store, { home, taskId, count });
}

async function readAll(ledger, taskId) {
  for (let afterSeq = 0, read = 1; read > 0; afterSeq += read) {
    read = (await ledger.read(taskId, { afterSeq, limit: 10_000 })).length;
  }
}

/** The log of the chain as a file: writing it, and its last lines beside reading and parsing all of it. */
async function logFile(store, { home, taskId, count }) {
  const from = performance.now();
  await store.memory.project(taskId);
  const projectMs = performance.now() - from;
  const directory = join(home, store.memory.directory(taskId));
  const files = readdirSync(directory).filter((name) => /^log\..*jsonl$/.test(name));
  let lines = 0;
  const samples = await interleave(
    {
      'whole log': async () => {
        lines = 0;
        for (const name of files) {
          const source = createReadStream(join(directory, name));
          for await (const line of createInterface({ input: source })) if (JSON.parse(line).seq > 0) lines += 1;
        }
      },
      'last 100 lines': () => store.memory.readLogTail(taskId, 100).then(() => undefined),
    },
    3,
  );
  const rows = summarise(samples, 'whole log').map(({ name, medianMs, ratio }) => ({ name, medianMs, ratio }));
  const share = quantile(samples['last 100 lines'], 0.5) / quantile(samples['whole log'], 0.5);
  const title = `A log of ${lines} lines in ${files.length} files, written at ${Math.round(count / (projectMs / 1000))}/s`;
  report(`\n${title}; its end: ${share.toFixed(6)} of reading all`, rows, options);
}

async function followAll(ledger) {
  for (let after = null; ;) {
    const { records, cursor } = await ledger.follow({ after, limit: 1_000 });
    if (records.length === 0) return;
    after = cursor;
  }
}
