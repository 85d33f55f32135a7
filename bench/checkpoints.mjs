/*
 * node --conditions=@opencode-tools/source bench/checkpoints.mjs --scratch DIR [--rounds 5] [--files 5000] [--bytes 52428800] [--json]
 *
 * Checkpoints of a directory of the host beside restic, git, tar and rsync, in one run: the first, one after 1 % changed, everything back
 * into an empty directory, and 1 % rolled back. DIR is on a journaled loop mount or a tmpfs. Peers that are not installed are left
 * out and named; Debian has all of them as packages.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { quantile, report, round, run, summarise } from './lib/measure.mjs';
import { call, withTemporaryHome } from './lib/temporary-home.mjs';
import { changeTree, plantTree } from './lib/trees.mjs';

const text = { type: 'string' };
const options = { json: { type: 'boolean' }, scratch: text, rounds: text, files: text, bytes: text };
const { values } = parseArgs({ options });
if (values.scratch === undefined)
  throw new Error('Name a directory that is not on the root file system: --scratch DIR');
const [rounds, files, bytes] = [values.rounds ?? 5, values.files ?? 5_000, values.bytes ?? 52_428_800].map(Number);
const scratch = mkdtempSync(join(resolve(values.scratch), 'oct-bench-'));
process.env.TMPDIR = scratch;
const environment = { ...process.env, RESTIC_PASSWORD: 'bench', RESTIC_CACHE_DIR: join(scratch, 'restic-cache') };
const peers = ['restic', 'git', 'tar', 'rsync'].filter(isInstalled);
const verbs = ['first', 'after 1 %', 'all back', '1 % back'];

const bars = [
  { row: 9, what: 'first', beside: { restic: 0.35, tar: 3 } },
  { row: 10, what: 'after 1 %', beside: { restic: 0.2, git: 1.1 } },
  { row: 13, what: 'all back', beside: { restic: 0.45 } },
  { row: 14, what: '1 % back', beside: { restic: 0.1, rsync: 1.3 } },
];
const growthBar = 1.3;

try {
  const samples = {};
  const growth = [];
  for (let number = -1; number < rounds; number += 1) {
    const note = (name, { times }) => {
      for (const [what, ms] of number < 0 ? [] : Object.entries(times)) ((samples[what] ??= {})[name] ??= []).push(ms);
    };
    for (const [name, peer] of Object.entries(pick())) note(name, await oneRound(name, peer, number));
    // Each has a home of its own, in which nothing is stored.
    await withTemporaryHome(async ({ directory, ports }) => {
      const told = await oneRound('ours', store(directory, ports), number);
      note('ours', told);
      if (number >= 0) growth.push(told.grown / told.changed);
    });
    await withTemporaryHome(async ({ services }) =>
      note('whole verb', await oneRound('whole verb', verb(services), number)),
    );
  }
  const ratios = Object.fromEntries(
    bars.flatMap(({ row, what, beside }) =>
      Object.entries(beside)
        .filter(([peer]) => peers.includes(peer))
        .map(([peer, bar]) => [`[${row}] ${what} beside ${peer}`, { ratio: ratio(samples[what], peer), bar }]),
    ),
  );
  ratios['[16] bytes of an increment beside the changed bytes'] = {
    ratio: round(quantile(growth, 0.5), 2),
    bar: growthBar,
  };
  const rows = verbs.flatMap((what) =>
    summarise(samples[what], 'ours').map((row) => ({ ...row, name: `${what}: ${row.name}` })),
  );
  const missing = ['restic', 'git', 'tar', 'rsync'].filter((name) => !peers.includes(name));
  report(`Checkpoints of ${files} files, ${bytes} bytes`, rows, { json: values.json === true, ratios, missing });
  if (values.json !== true) {
    for (const [name, { ratio: found, bar }] of Object.entries(ratios))
      process.stdout.write(`${name}: ${found}x (bar ${bar}x)\n`);
    for (const name of missing) process.stdout.write(`${name} is not installed: its rows are left out\n`);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** Every contestant gets the same tree, changed in the same way, in directories of its own. */
async function oneRound(name, contestant, number) {
  const place = join(scratch, `${name.replace(' ', '-')}-${number}`);
  const [tree, back] = [join(place, 'tree'), join(place, 'back')];
  for (const directory of [tree, back]) mkdirSync(directory, { recursive: true });
  plantTree(tree, { files, bytes });
  await contestant.prepare?.(tree, place);
  // What the one before left to be written is not this one's to wait for.
  await run('sync', []);
  const times = {};
  const timed = async (what, work) => {
    if (work === undefined) return;
    const from = performance.now();
    await work(tree, place, back);
    times[what] = performance.now() - from;
  };
  await timed('first', contestant.first);
  const before = contestant.size?.() ?? 0;
  const changed = changeTree(tree, number + 2);
  await run('sync', []);
  await timed('after 1 %', contestant.next);
  const grown = (contestant.size?.() ?? 0) - before;
  await timed('1 % back', contestant.rollBack);
  await timed('all back', contestant.restore);
  await contestant.finish?.();
  rmSync(place, { recursive: true, force: true });
  return { times, changed, grown };
}

/** What a checkpoint does besides its record. */
function store(directory, { workspaces }) {
  let [first, second] = [];
  return {
    first: async (path) => void (first = await workspaces.freeze({ kind: 'directory', path })),
    next: async (path) => void (second = await workspaces.freeze({ kind: 'directory', path })),
    rollBack: (path) => workspaces.restoreDirectory(path, first.id),
    restore: (_tree, _place, back) => workspaces.restoreDirectory(back, second.id),
    size: () => bytesIn(join(directory, 'content', 'packs')) + bytesIn(join(directory, 'content', 'snapshots')),
  };
}

/** The verbs with lease, records and all; restoring saves the present first. */
function verb({ tasks, checkpoints }) {
  let [task, first] = [];
  return {
    prepare: async (path) => {
      await run('chown', ['-R', '1000:1000', path]);
      const image = process.env.OPENCODE_TOOLS_DEFAULT_IMAGE ?? 'opencode-sandbox-base';
      task = await tasks.create({ title: 'bench', image, workspace: { kind: 'bind', path } }, call);
    },
    first: async () => void (first = await checkpoints.create(task.id, { name: 'first' }, call)),
    next: () => checkpoints.create(task.id, { name: 'second' }, call),
    rollBack: () => checkpoints.restore(task.id, first.id, {}, call),
    finish: () => tasks.delete(task.id, { force: true }, call),
  };
}

function pick() {
  const all = {
    restic: {
      prepare: (_tree, place) => restic(place, 'init'),
      first: (tree, place) => restic(place, 'backup', '--tag', 'first', tree),
      next: (tree, place) => restic(place, 'backup', '--tag', 'second', tree),
      // Debian's restic restores everything to undo a part.
      rollBack: async (tree, place) => {
        const beside = join(place, 'beside');
        await restic(place, 'restore', 'latest', '--tag', 'first', '--target', beside);
        rmSync(tree, { recursive: true });
        renameSync(join(beside, tree), tree);
      },
      restore: (_tree, place, back) => restic(place, 'restore', 'latest', '--tag', 'second', '--target', back),
    },
    git: {
      prepare: (tree, place) => git(tree, place, 'init', '-q'),
      first: (tree, place) => commit(tree, place),
      next: (tree, place) => commit(tree, place),
      rollBack: async (tree, place) => {
        await git(tree, place, 'reset', '-q', '--hard', 'HEAD~1');
        await git(tree, place, 'clean', '-fdq');
      },
    },
    tar: {
      first: (tree, place) => run('tar', ['-C', tree, '-cf', join(place, 'first.tar'), '.']),
      restore: (_tree, place, back) => run('tar', ['-C', back, '-xf', join(place, 'first.tar')]),
    },
    rsync: {
      first: (tree, place) => run('rsync', ['-a', `${tree}/`, join(place, 'copy')]),
      rollBack: (tree, place) => run('rsync', ['-a', '--delete', `${join(place, 'copy')}/`, tree]),
    },
  };
  return Object.fromEntries(peers.map((name) => [name, all[name]]));
}

function restic(place, ...args) {
  return run('restic', ['-q', '-r', join(place, 'repository'), ...args], { env: environment });
}

async function commit(tree, place) {
  await git(tree, place, 'add', '-A');
  await git(tree, place, '-c', 'user.name=bench', '-c', 'user.email=bench@example.org', 'commit', '-q', '-m', 'x');
}

function git(tree, place, ...args) {
  return run('git', [`--git-dir=${join(place, 'git')}`, `--work-tree=${tree}`, ...args], { cwd: tree });
}

function ratio(samples, peer) {
  return round(quantile(samples.ours, 0.5) / quantile(samples[peer], 0.5), 3);
}

function bytesIn(folder) {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}

function isInstalled(program) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, program)));
}
