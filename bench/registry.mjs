// The registry beside the raw drivers: same rows, same pragmas, one interleaved run.
// `node --conditions=@opencode-tools/source bench/registry.mjs --scratch DIR [--only sqlite,sizes,postgres] [--large 1000000]`
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openMaintenance } from '@opencode-tools/persistence';
import { openPostgresStore } from '@opencode-tools/persistence/postgres';
import { openSqliteStore } from '@opencode-tools/persistence/sqlite';
import { addTask, sampleActor, sampleDraft, sampleNote, sampleTask, startPostgres } from '@opencode-tools/testkit';
import { fillTasks, markProjected, words } from './lib/fill-tasks.mjs';
import { leaseRequest } from './lib/lease-line.mjs';
import { interleave, report, run } from './lib/measure.mjs';
import { openRawPostgres } from './lib/raw-postgres.mjs';
import { openRaw } from './lib/raw-sqlite.mjs';
import { registryOptions, withScratch } from './lib/scratch.mjs';

const options = registryOptions({ rounds: 15, repeats: 100, small: 100_000, large: 1_000_000 });
if (options.wants('sqlite')) await withScratch(options.scratch, sqlite);
if (options.wants('sizes')) await withScratch(options.scratch, sizes);
if (options.wants('postgres')) await withScratch(options.scratch, postgres);

async function sqlite(directory) {
  const { store, task, lease } = await openWithLease(await openSqliteStore({ directory: join(directory, 'home') }));
  const raw = openRaw(join(directory, 'home', 'registry.db'));
  const times = (work) => async () => {
    for (let count = 0; count < options.repeats; count += 1) await work();
  };
  const samples = await interleave(
    {
      'point read, raw': times(() => raw.readTask(task.id)),
      'point read, ours': times(() => store.tasks.getTask(task.id)),
      'page of 50, raw': times(() => raw.page('pending')),
      'page of 50, ours': times(() => store.tasks.listTasks({ status: ['pending'] })),
      'insert task, raw': times(() => raw.insertTask(sampleTask(store.homeId))),
      'insert task, ours': times(() => addTask(store.tasks)),
      'guarded write, raw': times(() => raw.guardedNote(sampleNote(task.id), lease)),
      'guarded write, ours': times(() => store.tasks.commit(guardedNote(task, lease))),
      'guarded writes at once, ours': async () => {
        await Promise.all(Array.from({ length: options.repeats }, () => store.tasks.commit(guardedNote(task, lease))));
      },
    },
    options.rounds,
  );
  raw.close();
  await store.close();
  const rows = ['point read', 'page of 50', 'insert task', 'guarded write'].map((name) =>
    versus(name, samples[`${name}, raw`], samples[`${name}, ours`], options.repeats),
  );
  rows.push(
    versus(
      'at once / one by one',
      samples['guarded write, ours'],
      samples['guarded writes at once, ours'],
      options.repeats,
    ),
  );
  report('SQLite, durable (FULL): rates, ours as a share of raw', rows, options);
}

/** The same questions at two sizes; the smaller registry is then moved to a server and asked there. */
async function sizes(directory) {
  const rows = [];
  for (const count of [options.small, options.large].filter((each) => each > 0)) {
    const home = join(directory, `home-${count}`);
    const store = await openSqliteStore({ directory: home });
    const filledMs = await fillTasks(store, count);
    const filled = { 'import tasks/s': Math.round(count / (filledMs / 1000)) };
    rows.push({ tasks: `${count} on SQLite`, ...(await questions(store, count)), ...filled });
    await store.close();
    rows.at(-1)['open MB'] = await openedMb(home);
    if (count !== options.small) continue;
    const server = await startPostgres();
    try {
      rows.push({ tasks: `${count} on PostgreSQL`, ...(await onPostgres(home, server.url, count)), ...filled });
    } finally {
      await server.stop();
    }
  }
  const empty = join(directory, 'empty');
  await (await openSqliteStore({ directory: empty })).close();
  const emptyMb = await openedMb(empty);
  const pages = rows.filter(({ tasks }) => tasks.endsWith('SQLite')).map((each) => each['page p50 ms']);
  const speed = pages.length < 2 ? '' : `; a page of the larger has ${(pages[0] / pages[1]).toFixed(2)} of the speed`;
  const title = `At two sizes${speed}; a searched word is in 1 % of the tasks; an empty home opens in ${emptyMb} MB`;
  report(`\n${title}`, rows, options);
}

async function questions(store, count) {
  const first = () => store.tasks.listTasks({ status: ['pending'] });
  const cursor = await cursorAt(store, Math.floor(count / 8));
  const page = await quantiles(200, first);
  const deep = await quantiles(200, () => store.tasks.listTasks({ status: ['pending'] }, { cursor }));
  const counts = await quantiles(200, () => store.tasks.countTasks());
  const search = await quantiles(200, (index) => store.tasks.listTasks({ text: words[index % words.length] }));
  return {
    'page p50 ms': page.p50,
    'deep page p50 ms': deep.p50,
    'counts p50 ms': counts.p50,
    'search p50 ms': search.p50,
    'search p95 ms': search.p95,
  };
}

/** Where a page begins that has so many tasks of its status before it. */
async function cursorAt(store, depth) {
  let cursor;
  for (let passed = 0; passed < depth; passed += 500) {
    ({ next: cursor } = await store.tasks.listTasks({ status: ['pending'] }, { limit: 500, cursor }));
  }
  return cursor;
}

async function onPostgres(directory, url, count) {
  markProjected(join(directory, 'registry.db'));
  const maintenance = await openMaintenance({ directory, place: { engine: 'sqlite' } });
  await maintenance.move({ to: { engine: 'postgres', url, urlFrom: 'BENCH_DATABASE' } });
  const store = await openPostgresStore({ url, homeDirectory: directory, urlFrom: 'BENCH_DATABASE' });
  store.memory.touch = () => undefined;
  try {
    return { ...(await questions(store, count)), 'open MB': '' };
  } finally {
    await store.close();
  }
}

/** Resident memory of a process that has a home open and has read a page of it, in MB: the least of three. */
async function openedMb(directory) {
  const script = fileURLToPath(new URL('lib/open-home.mjs', import.meta.url));
  const sizes = [];
  for (let round = 0; round < 3; round += 1) {
    sizes.push(Number(await run(process.execPath, ['--expose-gc', ...process.execArgv, script, directory])));
  }
  return Math.min(...sizes);
}

async function postgres(directory) {
  const server = await startPostgres();
  try {
    const home = join(directory, 'home');
    const { store, task, lease } = await openWithLease(
      await openPostgresStore({ url: server.url, homeDirectory: home }),
    );
    const tasks = await Promise.all(Array.from({ length: 200 }, () => addTask(store.tasks)));
    const raw = await openRawPostgres(server.url, 10);
    const inFlight = (work) => async () => {
      let index = 0;
      const lane = async () => {
        while (index < options.repeats * 2) await work(tasks[(index += 1) % tasks.length]);
      };
      await Promise.all(Array.from({ length: 10 }, lane));
    };
    // Each claims every task once; what was claimed is let go of before, untimed.
    const claimAll = (work) => async () => {
      await raw.releaseAll(lease.id);
      const from = performance.now();
      let next = 0;
      const lane = async () => {
        while (next < tasks.length) await work(leaseRequest(tasks[next++].id));
      };
      await Promise.all(Array.from({ length: 10 }, lane));
      return performance.now() - from;
    };
    const samples = await interleave(
      {
        'compare-and-set, raw': inFlight((each) => raw.compareAndSet(each)),
        'compare-and-set, ours': inFlight((each) => changeTask(store, each)),
        'guarded write, raw': () => oneByOne(() => raw.guardedNote(sampleNote(task.id), lease)),
        'guarded write, ours': () => oneByOne(() => store.tasks.commit(guardedNote(task, lease))),
        'claim, raw': claimAll(({ session }) => raw.claim(session)),
        'claim, ours': claimAll((request) => store.leases.acquire(request)),
      },
      // Every change waits for the server: as many rounds as the others would take minutes.
      Math.min(options.rounds, 5),
    );
    await raw.close();
    await store.close();
    const rows = [
      versus(
        'compare-and-set, 10 in flight',
        samples['compare-and-set, raw'],
        samples['compare-and-set, ours'],
        options.repeats * 2,
      ),
      versus(
        'guarded write, 1 in flight',
        samples['guarded write, raw'],
        samples['guarded write, ours'],
        options.repeats,
      ),
      versus('claim, 10 in flight', samples['claim, raw'], samples['claim, ours'], tasks.length),
    ];
    report('\nPostgreSQL: rates, ours as a share of raw', rows, options);
  } finally {
    await server.stop();
  }
}

async function openWithLease(store) {
  // Files are written after the commit and timed apart; here the database alone is measured.
  store.memory.touch = () => undefined;
  const task = await addTask(store.tasks);
  const { lease } = await store.leases.acquire({ ...leaseRequest(task.id), ttlMs: 600_000 });
  return { store, task, lease };
}

function guardedNote(task, lease) {
  const draft = sampleDraft(task.id, 'note.added', { noun: 'note', value: sampleNote(task.id) });
  const guard = { lease: { leaseId: lease.id, token: lease.token } };
  return { guard, records: [{ ...draft, actor: sampleActor, token: lease.token }] };
}

/** Changes a task to its next version; one that another lane has just changed is left. */
async function changeTask(store, { id }) {
  const task = await store.tasks.getTask(id);
  const changed = { ...task, version: task.version + 1, title: `Version ${task.version + 1}` };
  await store.tasks
    .commit({ records: [sampleDraft(id, 'task.changed', { noun: 'task', value: changed })] })
    .catch((error) => {
      if (error.code !== 'OCT_VERSION_CONFLICT') throw error;
    });
}

async function oneByOne(work) {
  for (let count = 0; count < options.repeats; count += 1) await work();
}

function versus(name, raw, ours, count) {
  const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
  const rate = (values) => Math.round(count / (median(values) / 1000));
  return { name, 'raw /s': rate(raw), 'ours /s': rate(ours), ratio: (rate(ours) / rate(raw)).toFixed(2) };
}

async function quantiles(count, work) {
  const times = [];
  for (let index = 0; index < count; index += 1) {
    const from = performance.now();
    await work(index);
    times.push(performance.now() - from);
  }
  times.sort((a, b) => a - b);
  const at = (share) => Number(times[Math.floor(count * share)].toFixed(3));
  return { p50: at(0.5), p95: at(0.95) };
}
