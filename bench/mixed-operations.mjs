/*
 * node --conditions=@opencode-tools/source bench/mixed-operations.mjs [--rounds 200] [--json]
 *
 * Two command-line users and one MCP server at once on one home, so many operations each, mixed by a fixed seed over a few
 * shared tasks. Counts how they ended, by error code; only typed conflicts may be among them. The ledger is verified
 * at the end.
 */
import { fileURLToPath } from 'node:url';
import { commandLineCaller, mcpCaller } from './lib/callers.mjs';
import { benchOptions, report } from './lib/measure.mjs';
import { call, cleanEnvironment, withTemporaryHome } from './lib/temporary-home.mjs';

const { json, rounds } = benchOptions(200);
const sharedTasks = 4;
const conflicts = new Set([
  'ok',
  'OCT_LEASE_HELD',
  'OCT_LEASE_LOST',
  'OCT_STALE_FENCING_TOKEN',
  'OCT_VERSION_CONFLICT',
]);
const weights = {
  list: 20,
  status: 12,
  find: 8,
  history: 8,
  decide: 15,
  todo: 10,
  note: 10,
  create: 5,
  exec: 7,
  attach: 3,
  checkpoint: 1,
  stop: 1,
};

process.exitCode = await withTemporaryHome(measure);

async function measure({ directory, services }) {
  const tasks = [];
  for (let index = 0; index < sharedTasks; index += 1) {
    tasks.push((await services.tasks.create({ title: `Shared ${index}` }, call)).id);
  }
  const options = { env: cleanEnvironment({ OPENCODE_TOOLS_HOME: directory }), cwd: directory };
  const callers = {
    'command line 1': commandLineCaller(binary('cli'), options),
    'command line 2': commandLineCaller(binary('cli'), options),
    'MCP server': await mcpCaller(binary('mcp'), options),
  };
  const startedAt = performance.now();
  const tallies = await Promise.all(
    Object.entries(callers).map(([name, caller], index) => work(name, caller, tasks, index + 1)),
  );
  const seconds = Number(((performance.now() - startedAt) / 1000).toFixed(1));
  for (const caller of Object.values(callers)) await caller.close();
  return summarise(tallies, seconds, await services.ledger.verify());
}

function summarise(tallies, seconds, { ok, records }) {
  const rows = tallies.flatMap(({ name, counts }) =>
    Object.entries(counts).map(([outcome, count]) => ({
      caller: name,
      outcome,
      count,
      accepted: conflicts.has(outcome),
    })),
  );
  const title = `${rounds} mixed operations each, ${seconds} s; ${records} records, ledger ${ok ? 'intact' : 'BROKEN'}`;
  report(title, rows, { json, seconds, records, ledgerIntact: ok });
  return ok && rows.every(({ accepted }) => accepted) ? 0 : 1;
}

async function work(name, caller, tasks, seed) {
  const random = seeded(seed);
  const choices = Object.entries(weights).filter(([operation]) => caller[operation] !== undefined);
  const total = choices.reduce((sum, [, weight]) => sum + weight, 0);
  const counts = {};
  for (let index = 0; index < rounds; index += 1) {
    let at = random() * total;
    const [operation] = choices.find(([, weight]) => (at -= weight) < 0) ?? choices[0];
    const task = tasks[Math.floor(random() * tasks.length)];
    const outcome = await caller[operation](subjectOf(operation, task, `${name} ${index}`), `${name} ${index}`);
    counts[outcome] = (counts[outcome] ?? 0) + 1;
    if (!conflicts.has(outcome)) process.stderr.write(`${name}: ${operation} ended with ${outcome}\n`);
  }
  return { name, counts };
}

function subjectOf(operation, task, text) {
  if (operation === 'create') return `Made by ${text}`;
  return operation === 'find' ? 'shared' : task;
}

/** mulberry32: small, and the same everywhere. */
function seeded(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function binary(app) {
  return fileURLToPath(new URL(`../apps/${app}/dist/bin.cjs`, import.meta.url));
}
