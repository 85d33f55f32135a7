/*
 * node --conditions=@opencode-tools/source bench/volumes.mjs --scratch DIR [--rounds 3] [--files 5000] [--bytes 52428800] [--only layers] [--json]
 *
 * Checkpoints, forks and roll backs of volume workspaces, with layers and without, beside restic on the same tree and beside one container
 * made and started by the engine's own calls, in one run; and the disk that eight forks take beside one task. DIR is on a journaled loop mount
 * or a tmpfs. Without restic its rows are left out.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { quantile, report, round, run, summarise } from './lib/measure.mjs';
import { rawFirstOutput, rawRemove, rawRemoveVolume } from './lib/raw-engine.mjs';
import { benchPlan, newVolumes, optionsOf } from './lib/sandboxes.mjs';
import { call, withTemporaryHome } from './lib/temporary-home.mjs';
import { changeTree, plantTree } from './lib/trees.mjs';

const text = { type: 'string' };
const options = { json: { type: 'boolean' }, scratch: text, rounds: text, files: text, bytes: text, only: text };
const { values } = parseArgs({ options });
if (values.scratch === undefined)
  throw new Error('Name a directory that is not on the root file system: --scratch DIR');
const [rounds, files, bytes] = [values.rounds ?? 3, values.files ?? 5_000, values.bytes ?? 52_428_800].map(Number);
const scratch = mkdtempSync(join(resolve(values.scratch), 'oct-bench-'));
process.env.TMPDIR = scratch;
const image = process.env.OPENCODE_TOOLS_DEFAULT_IMAGE ?? 'opencode-sandbox-base';
const environment = { ...process.env, RESTIC_PASSWORD: 'bench', RESTIC_CACHE_DIR: join(scratch, 'restic-cache') };
const hasRestic = (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, 'restic')));
const forksAtOnce = 8;
const tree = join(scratch, 'tree');

const samples = {};
const disks = [];
const note = (number, name, ms) => number >= 0 && (samples[name] ??= []).push(ms);

try {
  mkdirSync(tree);
  plantTree(tree, { files, bytes });
  await run('chown', ['-R', '1000:1000', tree]);
  if (hasRestic) {
    await restic('init');
    await restic('backup', tree);
  }
  await withTemporaryHome((home) => withLayers(home), { OPENCODE_TOOLS_CHECKPOINTS_LAYERS: 'auto' });
  if (values.only !== 'layers')
    await withTemporaryHome((home) => withoutLayers(home), { OPENCODE_TOOLS_CHECKPOINTS_LAYERS: 'off' });
  const ratios = Object.fromEntries(
    [
      ['[11] checkpoint with layers beside restic', 'layers: freeze after 1 %', 'restic after 1 %', 0.03],
      ['[12] checkpoint without layers beside restic', 'no layers: freeze after 1 %', 'restic after 1 %', 0.25],
      ['[15] fork to a first output beside a start', 'layers: fork, run a command', 'raw calls: a container', 1.6],
      ['[15] sandbox of a checkpoint beside a start', 'layers: sandbox of a checkpoint', 'raw calls: a container', 1.6],
    ]
      .filter(([, ours, peer]) => samples[ours] !== undefined && samples[peer] !== undefined)
      .map(([name, ours, peer, bar]) => [name, { ratio: round(median(ours) / median(peer), 3), bar }]),
  );
  ratios[`disk of ${forksAtOnce} forks beside one task`] = { ratio: round(quantile(disks, 0.5), 3), bar: 1.1 };
  const verbMs = { ms: round(median('layers: whole verb after 1 %')), barMs: 400 };
  report(`Volumes of ${files} files, ${bytes} bytes`, summarise(samples, 'raw calls: a container'), {
    json: values.json === true,
    ratios,
    verbMs,
  });
  if (values.json !== true) {
    for (const [name, { ratio, bar }] of Object.entries(ratios))
      process.stdout.write(`${name}: ${ratio}x (bar ${bar}x)\n`);
    process.stdout.write(`the whole verb: ${verbMs.ms} ms (bar ${verbMs.barMs} ms)\n`);
    if (!hasRestic) process.stdout.write('restic is not installed: its rows are left out\n');
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** One task whose workspace changes round after round, and forks of it that are removed again. */
async function withLayers({ services, ports }) {
  const { id, imageId } = await begin(services, ports);
  for (let number = -1; number < rounds; number += 1) {
    const { workspaceVolume } = await ports.tasks.findSandbox(id);
    await change(services, id, number);
    await timed(number, 'layers: freeze after 1 %', () => freeze(ports, workspaceVolume));
    await change(services, id, number + 100);
    let checkpoint;
    await timed(number, 'layers: whole verb after 1 %', async () => {
      checkpoint = await services.checkpoints.create(id, { name: `round ${number}` }, call);
    });
    if (hasRestic) {
      changeTree(tree, number + 2);
      await timed(number, 'restic after 1 %', () => restic('backup', tree));
    }
    const mounts = newVolumes(ports);
    const raw = await rawFirstOutput(optionsOf(benchPlan(ports, imageId, mounts)));
    note(number, 'raw calls: a container', raw.ms);
    await rawRemove(raw.id);
    for (const { volume } of mounts) await rawRemoveVolume(volume);
    let fork;
    await timed(number, 'layers: fork, run a command', async () => {
      fork = await services.tasks.fork(id, { checkpoint: checkpoint.id }, call);
      await runScript(services, fork.id, 'echo up');
    });
    await services.tasks.delete(fork.id, { force: true }, call);
    await restack(ports, imageId, checkpoint, number);
    await timed(number, 'layers: roll back, whole verb', () =>
      services.checkpoints.restore(id, checkpoint.id, {}, call),
    );
  }
  const alone = await diskOf(ports);
  const forks = [];
  for (let index = 0; index < forksAtOnce; index += 1) {
    forks.push(await services.tasks.fork(id, {}, call));
    await runScript(services, forks.at(-1).id, 'echo up');
  }
  disks.push((await diskOf(ports)) / alone);
}

async function withoutLayers({ services, ports }) {
  const { id } = await begin(services, ports);
  for (let number = -1; number < rounds; number += 1) {
    const { workspaceVolume } = await ports.tasks.findSandbox(id);
    await change(services, id, number);
    await timed(number, 'no layers: freeze after 1 %', () => freeze(ports, workspaceVolume));
  }
}

async function begin(services, ports) {
  const { id: imageId } = await ports.images.ensure(image);
  const workspace = { kind: 'directory', path: tree };
  const { id } = await services.tasks.create({ title: 'bench', image, workspace }, call);
  await runScript(services, id, 'echo up');
  const { workspaceVolume } = await ports.tasks.findSandbox(id);
  await freeze(ports, workspaceVolume);
  return { id, imageId };
}

/** The volumes and the container of a checkpoint, without the records. */
async function restack(ports, imageId, checkpoint, number) {
  const { workspaces, runtime, ids, homeId, defaults } = ports;
  const operation = ids.next('operation');
  const labels = { 'io.opencode-tools.home': homeId };
  const [workspace, home] = ['workspace', 'home'].map((kind) => `bench-${operation.slice(-12)}-${kind}`);
  const mount = (volume, target) => ({ kind: 'volume', volume, target, readOnly: false });
  let sandbox;
  await timed(number, 'layers: sandbox of a checkpoint', async () => {
    const provision = (volume, { id: snapshotId }) =>
      workspaces.provision({ volume, labels, owner: defaults.user, snapshotId });
    await Promise.all([provision(workspace, checkpoint.workspace), provision(home, checkpoint.home)]);
    const mounts = [mount(workspace, '/workspace'), mount(home, '/home/agent')];
    sandbox = await runtime.create(benchPlan(ports, imageId, mounts));
  });
  await sandbox.destroy();
  for (const volume of [workspace, home]) await runtime.volumes.remove(volume);
}

function freeze(ports, volume) {
  return ports.workspaces.freeze({ kind: 'volume', volume });
}

function change(services, id, number) {
  const script = `cd /workspace; find . -name 'file-*' -type f | awk 'NR % 100 == ${1 + ((number + 1) % 100)}' | while read -r f; do echo "${number}" >>"$f"; done`;
  return runScript(services, id, script);
}

async function runScript(services, id, script) {
  const { execution } = await services.executions.run(id, { command: { kind: 'script', script } }, call);
  if (execution.exitCode !== 0) throw new Error(`The command ended with ${execution.exitCode}`);
}

/** Bytes on disk of all volumes of the home, those of layers counted where they lie. */
async function diskOf({ homeId }) {
  const filter = `label=io.opencode-tools.home=${homeId}`;
  const names = (
    await run('docker', ['volume', 'ls', '-q', '--filter', filter, '--filter', 'label=io.opencode-tools.kind=layers'])
  ).split('\n');
  const [volume] = names.filter((name) => name !== '');
  const options = ['run', '--rm', '--network', 'none', '--user', '0:0', '-v', `${volume}:/layers`];
  // Layers that nothing needs any more go meanwhile.
  const used = await run('docker', [...options, image, 'sh', '-c', 'du -sk /layers 2>/dev/null; :']);
  return Number(used.split('\t')[0]) * 1024;
}

async function timed(number, name, work) {
  const from = performance.now();
  await work();
  note(number, name, performance.now() - from);
}

function median(name) {
  return quantile(samples[name], 0.5);
}

function restic(...args) {
  return run('restic', ['-q', '-r', join(scratch, 'repository'), ...args], { env: environment });
}
