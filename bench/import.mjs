// Rows of many tasks put into an empty registry: what `db move` loads in both directions, beside the raw driver that writes
// the same tables with their indexes row by row in one transaction. Comparing and the epoch are timed apart; files are not
// written. `node --conditions=@opencode-tools/source bench/import.mjs --scratch DIR [--tasks 100000]`
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { openMaintenance } from '@opencode-tools/persistence';
import { openSqliteStore } from '@opencode-tools/persistence/sqlite';
import { startPostgres } from '@opencode-tools/testkit';
import { fillTasks } from './lib/fill-tasks.mjs';
import { report } from './lib/measure.mjs';
import { registryOptions, withScratch } from './lib/scratch.mjs';

const Database = createRequire(new URL('../packages/persistence/package.json', import.meta.url))('better-sqlite3');
const options = registryOptions({ tasks: 100_000 });

await withScratch(options.scratch, async (directory) => {
  const home = join(directory, 'home');
  const store = await openSqliteStore({ directory: home });
  const rows = [row('written one change at a time, 500 a commit', await fillTasks(store, options.tasks))];
  await store.close();
  rows.push(row('raw better-sqlite3, rows and indexes', rawCopy(join(home, 'registry.db'), join(directory, 'raw.db'))));
  const server = await startPostgres();
  try {
    const postgres = { engine: 'postgres', url: server.url, urlFrom: 'BENCH_DATABASE' };
    rows.push(...(await move(home, { engine: 'sqlite' }, postgres)));
    rows.push(...(await move(home, postgres, { engine: 'sqlite' })));
  } finally {
    await server.stop();
  }
  report(`Rows of ${options.tasks} tasks`, rows, options);
});

/** Moves a home and tells how long its parts took. */
async function move(directory, place, to) {
  const at = {};
  let last = null;
  const onStep = (step) => {
    if (step === last) return;
    at[step] ??= performance.now();
    last = step;
  };
  const maintenance = await openMaintenance({ directory, place, onStep });
  await maintenance.move({ to });
  const between = (from, until) => at[until] - at[from];
  const name = `db move to ${to.engine}`;
  return [
    row(`${name}: rows in`, between('move: copy', 'move: verify')),
    row(`${name}: compared`, between('move: verify', 'move: epoch')),
    row(`${name}: new epoch`, between('move: epoch', 'move: switch')),
  ];
}

/** The same tables, filled by the driver. */
function rawCopy(file, target) {
  const from = new Database(file, { readonly: true });
  const to = new Database(target);
  to.pragma('journal_mode = WAL');
  const objects = from.prepare(`select type, name, sql from sqlite_master where sql is not null
    and name not like 'search_index_%' and name not like 'sqlite_%' order by type = 'trigger', type = 'index'`);
  const made = objects.all();
  for (const { sql } of made) to.exec(sql);
  const began = performance.now();
  to.exec('begin immediate');
  for (const { type, name } of made) {
    if (type !== 'table' || name === 'search_index') continue;
    const read = from.prepare(`select * from ${name}`).raw();
    const insert = to.prepare(`insert into ${name} values (${read.columns().map(() => '?')})`);
    for (const cells of read.iterate()) insert.run(cells);
  }
  to.exec('commit');
  const ms = performance.now() - began;
  from.close();
  to.close();
  return ms;
}

function row(name, ms) {
  return { name, ms: Math.round(ms), 'tasks/s': Math.round(options.tasks / (ms / 1000)) };
}
