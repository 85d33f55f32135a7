/*
 * node --conditions=@opencode-tools/source bench/workspaces.mjs [--rounds 3] [--files 20000] [--layers auto] [--json]
 *
 * Workspaces seeded from a git repository of many files, beside `git clone --local` of it: the first task of a home, another one on
 * the same commit beside one container start with volumes, and looking at 100 changed files beside `git diff` in the clone. The first
 * command fills the first task's volume, so creating a task and running one stands beside a clone and a first command in a container
 * with it mounted; also for a task that was created `ready`, and in a process that stays, where filling goes on meanwhile, 2 s after `create`.
 */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { quantile, report, run, summarise } from './lib/measure.mjs';
import { rawFirstOutput, rawRemove, rawRemoveVolume } from './lib/raw-engine.mjs';
import { benchPlan, newVolumes, optionsOf } from './lib/sandboxes.mjs';
import { call, withTemporaryHome } from './lib/temporary-home.mjs';

const text = { type: 'string' };
const { values } = parseArgs({ options: { json: { type: 'boolean' }, rounds: text, files: text, layers: text } });
const rounds = Number(values.rounds ?? 3);
const files = Number(values.files ?? 20_000);
const changedFiles = 100;
const identity = ['-c', 'user.name=bench', '-c', 'user.email=bench@example.org'];
const image = process.env.OPENCODE_TOOLS_DEFAULT_IMAGE ?? 'opencode-sandbox-base';
const bars = { 'seed beside git clone': 1.3, 'second task beside a container start': 1.6, 'diff beside git diff': 1.5 };

const clone = 'git clone --local';
const names = {
  seed: 'ours: create the first task',
  cloneFirst: 'git clone --local, docker run with it mounted, docker exec',
  first: 'ours: create the first task, run a command',
  ready: 'ours: create the first task ready, run a command',
  later: 'ours: the first command 2 s after the task, in a process that stays',
  start: 'raw calls: a container with volumes, a command',
  started: 'docker run with volumes, docker exec',
  second: 'ours: create another task, run a command',
  gitDiff: `git diff of ${changedFiles} files`,
  diff: `ours: diff of ${changedFiles} files, checkpoint taken`,
  diffNow: `ours: diff of ${changedFiles} files, taking a checkpoint`,
  apply: `ours: apply ${changedFiles} files`,
};

const directory = mkdtempSync(join(tmpdir(), 'oct-bench-'));
try {
  const repository = join(directory, 'repository');
  await plant(repository);
  const samples = Object.fromEntries([clone, ...Object.values(names)].map((name) => [name, []]));
  for (let round = -1; round < rounds; round += 1)
    for (const [name, ms] of Object.entries(await oneRound(repository, round))) if (round >= 0) samples[name].push(ms);
  const median = (name) => quantile(samples[name], 0.5);
  const ratios = {
    'seed beside git clone': median(names.seed) / median(clone),
    'second task beside a container start': median(names.second) / median(names.start),
    'second task beside docker run, docker exec': median(names.second) / median(names.started),
    'diff beside git diff': median(names.diff) / median(names.gitDiff),
    'first task and command beside git clone': median(names.first) / median(clone),
    'first task, ready, and command beside git clone': median(names.ready) / median(clone),
    'first task and command beside git clone, docker run, docker exec': median(names.first) / median(names.cloneFirst),
  };
  report(`Workspaces of ${files} files`, summarise(samples, clone), { json: values.json === true, bars, ratios });
  if (values.json !== true)
    for (const [name, ratio] of Object.entries(ratios))
      process.stdout.write(`${name}: ${ratio.toFixed(2)}x${bars[name] === undefined ? '' : ` (bar ${bars[name]}x)`}\n`);
} finally {
  rmSync(directory, { recursive: true, force: true });
}

async function plant(repository) {
  for (let index = 0; index < files; index += 1) {
    const folder = join(repository, `d${index % 200}`);
    if (index < 200) mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `f${index}.txt`), `line ${index}\n`.repeat(80));
  }
  await run('git', ['init', '-q', '-b', 'main'], { cwd: repository });
  await run('git', ['add', '.'], { cwd: repository });
  await run('git', [...identity, '-c', 'gc.autoDetach=false', 'commit', '-q', '-m', 'base'], { cwd: repository });
}

/** A home of its own, so that nothing of the repository is known. */
async function oneRound(repository, round) {
  const copy = join(directory, `clone-${round}`);
  const times = { [clone]: await timed(() => run('git', ['clone', '-q', '--local', repository, copy])) };
  times[names.cloneFirst] = await cloneAndRun(repository, `${copy}-run`);
  const layers = values.layers === undefined ? {} : { OPENCODE_TOOLS_CHECKPOINTS_LAYERS: values.layers };
  await withTemporaryHome(async ({ services, ports }) => {
    const { id: imageId } = await ports.images.ensure(image);
    const workspace = { kind: 'git', path: repository };
    const create = () => services.tasks.create({ title: 'bench', image, workspace }, call);
    const sh = (id, script) => services.executions.run(id, { command: { kind: 'script', script } }, call);
    let task;
    times[names.seed] = await timed(async () => (task = await create()));
    times[names.first] = times[names.seed] + (await timed(() => sh(task.id, 'echo up')));
    times[names.second] = await timed(async () => sh((await create()).id, 'echo up'));
    const mounts = newVolumes(ports);
    const { id, ms } = await rawFirstOutput(optionsOf(benchPlan(ports, imageId, mounts)));
    times[names.start] = ms;
    await rawRemove(id);
    for (const { volume } of mounts) await rawRemoveVolume(volume);
    times[names.started] = await dockerFirstOutput(newVolumes(ports));

    await sh(task.id, `for i in $(seq ${changedFiles}); do echo changed >>d$i/f$i.txt; done`);
    for (let index = 1; index <= changedFiles; index += 1)
      appendFileSync(join(copy, `d${index}/f${index}.txt`), 'changed\n');
    times[names.gitDiff] = await timed(() => run('git', ['diff'], { cwd: copy }));
    let review;
    times[names.diffNow] = await timed(async () => (review = await services.work.review(task.id, {}, call)));
    if (review.changes.length !== changedFiles) throw new Error(`${review.changes.length} files changed`);
    const options = { checkpoint: review.checkpoint.id };
    times[names.diff] = await timed(() => services.work.review(task.id, options, call));
    rmSync(copy, { recursive: true });
    await run('git', ['clone', '-q', '--local', repository, copy]);
    times[names.apply] = await timed(() => services.work.apply(task.id, { ...options, directory: copy }, call));
  }, layers);
  rmSync(copy, { recursive: true });
  await withTemporaryHome(async ({ services, ports }) => {
    await ports.images.ensure(image);
    const given = { title: 'bench', image, workspace: { kind: 'git', path: repository }, ready: true };
    const command = { kind: 'script', script: 'echo up' };
    times[names.ready] = await timed(async () =>
      services.executions.run((await services.tasks.create(given, call)).id, { command }, call),
    );
  }, layers);
  await withTemporaryHome(async ({ services, ports }) => {
    await ports.images.ensure(image);
    services.housekeeper.start();
    const task = await services.tasks.create(
      { title: 'bench', image, workspace: { kind: 'git', path: repository } },
      call,
    );
    await delay(2000);
    const command = { kind: 'script', script: 'echo up' };
    times[names.later] = await timed(() => services.executions.run(task.id, { command }, call));
  }, layers);
  return times;
}

/** What stands beside a task and its first command: a copy of the repository, and a container that has it. */
async function cloneAndRun(repository, copy) {
  let container;
  const ms = await timed(async () => {
    await run('git', ['clone', '-q', '--local', repository, copy]);
    const options = ['-d', '--network', 'none', '-v', `${copy}:/workspace`];
    container = (await run('docker', ['run', ...options, image, 'sleep', '1000'])).trim();
    await run('docker', ['exec', container, 'echo', 'up']);
  });
  await run('docker', ['rm', '-f', container]);
  rmSync(copy, { recursive: true });
  return ms;
}

/** What a user would type for an empty sandbox of the same image. */
async function dockerFirstOutput(mounts) {
  const volumes = mounts.flatMap(({ volume, target }) => ['-v', `${volume}:${target}`]);
  let container;
  const ms = await timed(async () => {
    container = (await run('docker', ['run', '-d', '--network', 'none', ...volumes, image, 'sleep', '1000'])).trim();
    await run('docker', ['exec', container, 'echo', 'up']);
  });
  await run('docker', ['rm', '-f', container]);
  await run('docker', ['volume', 'rm', ...mounts.map(({ volume }) => volume)]);
  return ms;
}

async function timed(work) {
  const from = performance.now();
  await work();
  return performance.now() - from;
}
