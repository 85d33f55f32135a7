// Several processes write one home durably, each change under its own lease: ours beside a raw transaction with
// busy_timeout and BEGIN IMMEDIATE. `node --conditions=@opencode-tools/source bench/contention.mjs --scratch DIR`
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSqliteStore } from '@opencode-tools/persistence/sqlite';
import { addTask, sampleActor, sampleIds, sampleNote, sampleSession } from '@opencode-tools/testkit';
import { report } from './lib/measure.mjs';
import { openRaw } from './lib/raw-sqlite.mjs';
import { registryOptions, withScratch } from './lib/scratch.mjs';

const script = fileURLToPath(import.meta.url);

if (process.argv[2] === 'child') await child(...process.argv.slice(3));
else await parent();

async function parent() {
  const options = registryOptions({ processes: 8, ms: 2_000, rounds: 3 });
  const rows = [];
  const sums = {};
  for (let round = 0; round < options.rounds; round += 1) {
    for (const mode of ['naive', 'ours']) {
      const figures = await withScratch(options.scratch, (directory) => contend(directory, mode, options));
      (sums[mode] ??= []).push(figures);
    }
  }
  for (const [mode, all] of Object.entries(sums)) {
    const median = (name) => all.map((each) => each[name]).toSorted((a, b) => a - b)[Math.floor(all.length / 2)];
    rows.push({
      mode,
      'writes/s': Math.round(median('rate')),
      'slowest of its share %': Math.round(median('slowest') * 100),
      'worst wait ms': Math.round(median('worst') * 10) / 10,
      'p99 ms': Math.round(median('p99') * 10) / 10,
    });
  }
  const ratio = (name) => (rows[1][name] / rows[0][name]).toFixed(3);
  report(`${options.processes} processes, durable guarded writes, ${options.rounds} rounds of ${options.ms} ms`, rows, {
    json: options.json,
  });
  process.stdout.write(`\nthroughput ${ratio('writes/s')} x naive, worst wait ${ratio('worst wait ms')} x naive\n`);
}

async function contend(directory, mode, { processes, ms }) {
  const store = await openSqliteStore({ directory: join(directory, 'home') });
  const kids = [];
  for (let index = 0; index < processes; index += 1) {
    const task = await addTask(store.tasks);
    const { lease } = await store.leases.acquire({
      session: sampleSession(task.id),
      mode: 'exclusive',
      maxAgents: 1,
      ttlMs: 600_000,
      takeover: false,
      actor: sampleActor,
      correlationId: null,
    });
    const args = ['child', mode, join(directory, 'home'), String(ms), task.id, lease.id, String(lease.token)];
    kids.push(fork(script, args));
  }
  await store.close();
  const said = (kid) => new Promise((resolve) => kid.once('message', resolve));
  await Promise.all(kids.map(said));
  const told = await Promise.all(
    kids.map((kid) => {
      const answer = said(kid);
      kid.send('go');
      return answer;
    }),
  );
  const total = told.reduce((sum, { done }) => sum + done, 0);
  return {
    rate: total / (ms / 1000),
    slowest: Math.min(...told.map(({ done }) => done)) / (total / processes),
    worst: Math.max(...told.map(({ worst }) => worst)),
    p99: Math.max(...told.map(({ p99 }) => p99)),
  };
}

async function child(mode, directory, ms, taskId, leaseId, token) {
  const lease = { id: leaseId, token: Number(token) };
  const store = mode === 'ours' ? await openSqliteStore({ directory, waitMs: 60_000 }) : null;
  const raw = mode === 'naive' ? openRaw(join(directory, 'registry.db'), { busyTimeoutMs: 60_000 }) : null;
  // Files are written after the commit and timed apart (bench/ledger.mjs); here the database alone is measured.
  if (store !== null) store.memory.touch = () => undefined;
  const guard = { lease: { leaseId, token: lease.token } };
  const common = { stream: taskId, type: 'note.added', actor: sampleActor, token: lease.token };
  const write = async () => {
    const note = sampleNote(taskId, { id: sampleIds.next('note') });
    if (raw !== null) raw.guardedNote(note, lease);
    else await store.tasks.commit({ guard, records: [{ ...common, puts: [{ noun: 'note', value: note }] }] });
  };
  const go = new Promise((resolve) => process.once('message', resolve));
  process.send('ready');
  await go;
  const waits = [];
  const from = performance.now();
  while (performance.now() - from < Number(ms)) {
    const began = performance.now();
    await write();
    waits.push(performance.now() - began);
  }
  waits.sort((a, b) => a - b);
  const p99 = waits[Math.floor(waits.length * 0.99)] ?? 0;
  await new Promise((resolve) => process.send({ done: waits.length, worst: waits.at(-1) ?? 0, p99 }, resolve));
  raw?.close();
  await store?.close();
  process.exit(0);
}
