// Rows of many tasks put into an empty registry: exported ledgers that are taken in, with every chain checked, and what
// `db move` loads in both directions, beside the raw driver that writes the same tables with their indexes in one
// transaction. Comparing and the epoch are timed apart; files are not written.
// `node --conditions=@opencode-tools/source bench/import.mjs --scratch DIR [--tasks 100000]`
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { openMaintenance } from '@opencode-tools/persistence';
import { openPostgresStore } from '@opencode-tools/persistence/postgres';
import { openSqliteStore } from '@opencode-tools/persistence/sqlite';
import { startPostgres } from '@opencode-tools/testkit';
import { fillTasks, markProjected } from './lib/fill-tasks.mjs';
import { report } from './lib/measure.mjs';
import { registryOptions, withScratch } from './lib/scratch.mjs';

const ofPersistence = createRequire(new URL('../packages/persistence/package.json', import.meta.url));
const [Database, pg] = [ofPersistence('better-sqlite3'), ofPersistence('pg')];
const options = registryOptions({ tasks: 100_000 });

await withScratch(options.scratch, async (directory) => {
  const home = join(directory, 'home');
  const store = await openSqliteStore({ directory: home });
  const rows = [row('ledgers taken in, into SQLite', await fillTasks(store, options.tasks))];
  await store.close();
  const file = join(home, 'registry.db');
  markProjected(file);
  rows.push(
    row(
      'raw better-sqlite3, row by row',
      rawCopy(file, join(directory, 'raw.db'), { rowsAtOnce: 1, indexes: 'first' }),
    ),
    row(
      'raw better-sqlite3, many rows, indexes after',
      rawCopy(file, join(directory, 'raw-many.db'), { rowsAtOnce: 30 }),
    ),
  );
  const server = await startPostgres();
  try {
    rows.push(row('raw pg, COPY', await rawCopyToPostgres(file, server.url, join(directory, 'raw-postgres'))));
    rows.push(
      row('ledgers taken in, into PostgreSQL', await takeIntoPostgres(server.url, join(directory, 'taken-in'))),
    );
    const postgres = { engine: 'postgres', url: server.url, urlFrom: 'BENCH_DATABASE' };
    rows.push(...(await move(home, { engine: 'sqlite' }, postgres)));
    rows.push(...(await move(home, postgres, { engine: 'sqlite' })));
  } finally {
    await server.stop();
  }
  report(`Rows of ${options.tasks} tasks`, rows, options);
});

/** A database of its own, filled with the ledgers of so many tasks. @returns ms */
async function takeIntoPostgres(url, homeDirectory) {
  const store = await openPostgresStore({ url: await newDatabase(url, 'taken_in'), homeDirectory });
  try {
    return await fillTasks(store, options.tasks);
  } finally {
    await store.close();
  }
}

async function newDatabase(url, name) {
  const admin = new pg.Client(url);
  await admin.connect();
  await admin.query(`create database ${name}`);
  await admin.end();
  return new URL(`/${name}`, url).href;
}

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
    row(name, between('move: prepare', 'move: switch')),
    row(`${name}: rows in`, between('move: copy', 'move: verify')),
    row(`${name}: compared`, between('move: verify', 'move: epoch')),
    row(`${name}: new epoch`, between('move: epoch', 'move: switch')),
  ];
}

/** The same tables, filled by the driver, in one transaction. */
function rawCopy(file, target, { rowsAtOnce, indexes = 'after' }) {
  const from = new Database(file, { readonly: true });
  const to = new Database(target);
  to.pragma('journal_mode = WAL');
  const objects = from.prepare(`select type, name, sql from sqlite_master where sql is not null
    and name not like 'search_index_%' and name not like 'sqlite_%' order by type = 'trigger', type = 'index'`);
  const made = objects.all();
  const [tables, others] = [made.filter(({ type }) => type === 'table'), made.filter(({ type }) => type !== 'table')];
  const create = (some) => some.forEach(({ sql }) => to.exec(sql));
  create(indexes === 'first' ? made : tables);
  const began = performance.now();
  to.exec('begin immediate');
  for (const { name } of tables) if (name !== 'search_index') rawFill(from, to, name, rowsAtOnce);
  if (indexes === 'after') {
    to.exec(`insert into search_index (search_index) values ('rebuild')`);
    create(others);
  }
  to.exec('commit');
  const ms = performance.now() - began;
  from.close();
  to.close();
  return ms;
}

function rawFill(from, to, table, rowsAtOnce) {
  const read = from.prepare(`select * from ${table}`).raw();
  const one = `(${read.columns().map(() => '?')})`;
  const insert = (count) => to.prepare(`insert into ${table} values ${Array.from({ length: count }, () => one)}`);
  const many = insert(rowsAtOnce);
  let cells = [];
  let waiting = 0;
  for (const row of read.iterate()) {
    for (const cell of row) cells.push(cell);
    if ((waiting += 1) < rowsAtOnce) continue;
    many.run(cells);
    [cells, waiting] = [[], 0];
  }
  if (waiting > 0) insert(waiting).run(cells);
}

/** The same tables, filled by the driver of PostgreSQL in one transaction; columns that one engine gives itself are left. */
async function rawCopyToPostgres(file, url, homeDirectory) {
  const own = await newDatabase(url, 'raw');
  await (await openPostgresStore({ url: own, homeDirectory })).close();
  const client = new pg.Client(own);
  await client.connect();
  const from = new Database(file, { readonly: true });
  const began = performance.now();
  await client.query('begin; truncate tasks, streams, ledger, search_documents, task_counts');
  for (const table of ['tasks', 'streams', 'ledger', 'search_documents', 'task_counts']) {
    await copyTable(client, from, table);
  }
  await client.query('commit');
  const ms = performance.now() - began;
  from.close();
  await client.end();
  return ms;
}

function copyTable(client, from, table) {
  const named = from
    .prepare(`select * from ${table}`)
    .columns()
    .map(({ name }) => name);
  const columns = named.filter((name) => table !== 'search_documents' || name !== 'id');
  const rows = from.prepare(`select ${columns} from ${table}`).raw();
  const query = new pg.Query(`copy ${table} (${columns}) from stdin`);
  query.handleCopyInResponse = async (connection) => {
    let text = '';
    for (const cells of rows.iterate()) {
      text += `${cells.map((cell) => (cell === null ? '\\N' : String(cell).replaceAll('\\', '\\\\'))).join('\t')}\n`;
      if (text.length < 65_536) continue;
      connection.sendCopyFromChunk(Buffer.from(text));
      text = '';
      if (connection.stream.writableNeedDrain) await once(connection.stream, 'drain');
    }
    connection.sendCopyFromChunk(Buffer.from(text));
    connection.endCopyFrom();
  };
  return new Promise((resolve, reject) => {
    query.on('end', resolve);
    query.on('error', reject);
    client.query(query);
  });
}

function row(name, ms) {
  return { name, ms: Math.round(ms), 'tasks/s': Math.round(options.tasks / (ms / 1000)) };
}
