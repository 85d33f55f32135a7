/*
 * node --conditions=@opencode-tools/source bench/transfer.mjs --scratch DIR [--rounds 3] [--files 5000] [--bytes 52428800] [--json]
 *
 * A checkpoint of a directory of the host exported to a file, flushed, and imported into another home, beside `tar`, which flushes nothing. DIR is on a
 * journaled loop mount or a tmpfs.
 */
import { createReadStream, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { quantile, report, round, run, summarise } from './lib/measure.mjs';
import { call, withTemporaryHome } from './lib/temporary-home.mjs';
import { plantTree } from './lib/trees.mjs';

const text = { type: 'string' };
const { values } = parseArgs({
  options: { json: { type: 'boolean' }, scratch: text, rounds: text, files: text, bytes: text },
});
if (values.scratch === undefined)
  throw new Error('Name a directory that is not on the root file system: --scratch DIR');
const [rounds, files, bytes] = [values.rounds ?? 3, values.files ?? 5_000, values.bytes ?? 52_428_800].map(Number);
const bar = { megabytesPerSecond: 150 };
const scratch = mkdtempSync(join(resolve(values.scratch), 'oct-bench-'));
process.env.TMPDIR = scratch;
const image = process.env.OPENCODE_TOOLS_DEFAULT_IMAGE ?? 'opencode-sandbox-base';

try {
  const samples = { 'tar -c': [], export: [], 'tar -x': [], import: [] };
  for (let number = -1; number < rounds; number += 1) {
    for (const [name, ms] of Object.entries(await oneRound(number))) if (number >= 0) samples[name].push(ms);
  }
  const rows = [...summarise(samples, 'tar -c')].map((row) => ({
    ...row,
    'MB/s': round(bytes / 1e6 / (row.medianMs / 1e3), 0),
  }));
  const rates = Object.fromEntries(['export', 'import'].map((name) => [name, rate(samples[name])]));
  report(`Exports of ${files} files, ${bytes} bytes`, rows, { json: values.json === true, rates, bar });
  if (values.json !== true)
    for (const [name, found] of Object.entries(rates))
      process.stdout.write(`${name}: ${found} MB/s (bar ${bar.megabytesPerSecond} MB/s)\n`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function rate(times) {
  return round(bytes / 1e6 / (quantile(times, 0.5) / 1e3), 0);
}

async function oneRound(number) {
  const place = join(scratch, `round-${number}`);
  const [tree, back, file] = [join(place, 'tree'), join(place, 'back'), join(place, 'exported.tar')];
  for (const directory of [tree, back]) mkdirSync(directory, { recursive: true });
  plantTree(tree, { files, bytes });
  await run('chown', ['-R', '1000:1000', tree, back]);
  const times = {};
  const timed = async (name, work) => {
    const from = performance.now();
    await work();
    times[name] = performance.now() - from;
  };
  await timed('tar -c', () => run('tar', ['-cf', join(place, 'plain.tar'), '-C', tree, '.']));
  await timed('tar -x', () => run('tar', ['-xpf', join(place, 'plain.tar'), '-C', back]));
  await withTemporaryHome(async ({ services: { tasks, checkpoints } }) => {
    const task = await tasks.create({ title: 'bench', image, workspace: { kind: 'bind', path: tree } }, call);
    const { id } = await checkpoints.create(task.id, { name: 'first' }, call);
    await timed('export', async () => {
      const { stream } = await checkpoints.export(task.id, id, {}, call);
      const out = await open(file, 'wx');
      let writing;
      for await (const part of stream) {
        await writing;
        writing = out.writeFile(part);
      }
      await writing;
      await out.sync();
      await out.close();
    });
  });
  await withTemporaryHome(async ({ services: { tasks, checkpoints } }) => {
    const task = await tasks.create({ title: 'bench', image, workspace: { kind: 'bind', path: back } }, call);
    await timed('import', () =>
      checkpoints.import(task.id, createReadStream(file, { highWaterMark: 1024 ** 2 }), {}, call),
    );
  });
  rmSync(place, { recursive: true, force: true });
  return times;
}
