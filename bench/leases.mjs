// Leases: acquire and release beside two raw commits, and the hand-over among 16 contenders that hold for 5 ms each.
// `node --conditions=@opencode-tools/source bench/leases.mjs --scratch DIR [--only uncontended,sqlite,postgres]`
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openPostgresStore } from '@opencode-tools/persistence/postgres';
import { openSqliteStore } from '@opencode-tools/persistence/sqlite';
import { addTask, startPostgres } from '@opencode-tools/testkit';
import { handOvers, leaseRequest, release, standInLine } from './lib/lease-line.mjs';
import { interleave, report, summarise } from './lib/measure.mjs';
import { openRaw } from './lib/raw-sqlite.mjs';
import { registryOptions, withScratch } from './lib/scratch.mjs';

const script = fileURLToPath(import.meta.url);
// Of few repeats the checkpoints of the write-ahead log, which come every thousand pages, would fall on some samples alone.
const defaults = { rounds: 9, repeats: 400, contenders: 16, processes: 4, turns: 12, holdMs: 5 };

if (process.argv[2] === 'child') await child(...process.argv.slice(3));
else await parent();

async function parent() {
  const options = registryOptions(defaults);
  if (options.wants('uncontended')) await withScratch(options.scratch, (directory) => uncontended(directory, options));
  if (options.wants('sqlite')) {
    await withScratch(options.scratch, (directory) => contended('sqlite', join(directory, 'home'), options));
  }
  if (options.wants('postgres')) {
    const server = await startPostgres();
    try {
      await withScratch(options.scratch, (directory) => contended(server.url, join(directory, 'home'), options));
    } finally {
      await server.stop();
    }
  }
}

async function uncontended(directory, { rounds, repeats, json }) {
  const store = await openSqliteStore({ directory: join(directory, 'home') });
  store.memory.touch = () => undefined;
  const [task, other] = [await addTask(store.tasks), await addTask(store.tasks)];
  const raw = openRaw(join(directory, 'home', 'registry.db'));
  const samples = await interleave(
    {
      'two raw commits': () => {
        for (let count = 0; count < repeats * 2; count += 1) raw.tick('bench');
      },
      'the same rows by hand': () => {
        for (let count = 0; count < repeats; count += 1) {
          const { session } = leaseRequest(other.id);
          raw.release(raw.acquire(session), session);
        }
      },
      'acquire + release': async () => {
        for (let count = 0; count < repeats; count += 1) {
          await release(store.leases, (await store.leases.acquire(leaseRequest(task.id))).lease);
        }
      },
    },
    rounds,
  );
  raw.close();
  await store.close();
  report(`Uncontended, SQLite, ${repeats} times`, summarise(samples, 'two raw commits'), { json });
}

async function contended(place, directory, options) {
  const store = await open(place, directory);
  const task = await addTask(store.tasks);
  const perProcess = Math.ceil(options.contenders / options.processes);
  const rows = [];
  const alone = await Promise.all(
    Array.from({ length: options.contenders }, () => standInLine(store, task.id, options)),
  );
  rows.push({ contenders: `${options.contenders} in one process`, ...handOvers(alone.flat()) });
  const kids = Array.from({ length: options.processes }, () => {
    const args = ['child', place, directory, task.id, perProcess, options.turns, options.holdMs];
    return fork(script, args.map(String));
  });
  const said = (kid) => new Promise((resolve) => kid.once('message', resolve));
  await Promise.all(kids.map(said));
  const answers = kids.map((kid) => {
    const answer = said(kid);
    kid.send('go');
    return answer;
  });
  const held = (await Promise.all(answers)).flat();
  rows.push({ contenders: `${options.contenders} in ${options.processes} processes`, ...handOvers(held) });
  await store.close();
  const name = place === 'sqlite' ? 'SQLite' : 'PostgreSQL';
  report(`\nHand-over on ${name}, each holds for ${options.holdMs} ms`, rows, { json: options.json });
}

async function child(place, directory, taskId, contenders, turns, holdMs) {
  const store = await open(place, directory);
  const how = { turns: Number(turns), holdMs: Number(holdMs) };
  const go = new Promise((resolve) => process.once('message', resolve));
  process.send('ready');
  await go;
  const held = await Promise.all(Array.from({ length: Number(contenders) }, () => standInLine(store, taskId, how)));
  await store.close();
  await new Promise((resolve) => process.send(held.flat(), resolve));
  process.exit(0);
}

async function open(place, directory) {
  const store =
    place === 'sqlite'
      ? await openSqliteStore({ directory })
      : await openPostgresStore({ url: place, homeDirectory: directory });
  // Files are written after the commit and timed apart; here the database alone is measured.
  store.memory.touch = () => undefined;
  return store;
}
