/*
 * node --conditions=@opencode-tools/source bench/warm-claim.mjs [--rounds 5] [--json]
 *
 * From the wish for a sandbox to the first output of a command in it, with a workspace of 5,000 files, when the pool has one
 * ready: the claim alone (one compare-and-set, the fence, a command), the same with a paused sandbox that is woken, and all that
 * a task's first command does, beside `docker run -d` and `docker exec` by the docker command.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { benchOptions, interleave, report, run, summarise } from './lib/measure.mjs';
import { benchPlan } from './lib/sandboxes.mjs';
import { call, withTemporaryHome } from './lib/temporary-home.mjs';

const { json, rounds } = benchOptions(5);
const image = process.env.OPENCODE_TOOLS_DEFAULT_IMAGE ?? 'opencode-sandbox-base';
/** Of the containers that ours are compared with; a network of their own makes them slower to start. */
const network = process.env.BENCH_DOCKER_NETWORK ?? 'bridge';
const files = 5_000;
const readyLimitMs = 60_000;
const bars = { 'claim beside docker run': 0.02, 'claim with unpause beside docker run': 0.06 };

await withTemporaryHome(
  async ({ services, ports }) => {
    const { id: imageId } = await ports.images.ensure(image);
    const base = await services.tasks.create({ title: 'Base', image }, call);
    const script = `mkdir d; for i in $(seq ${files}); do echo $i >d/$i; done`;
    await services.executions.run(base.id, { command: { kind: 'script', script } }, call);
    await services.checkpoints.create(base.id, { name: 'base' }, call);
    const { workspace } = (await services.checkpoints.list(base.id))[0];
    services.housekeeper.start();
    await services.tasks.delete((await fork(services, base, 'asks for the kind')).id, { force: true }, call);
    const contestants = {
      'docker run -d, docker exec': dockerRound,
      'ours: claim, first command': () => claimRound(ports, imageId, workspace, false),
      'ours: claim, unpause, first command': () => claimRound(ports, imageId, workspace, true),
      'ours: first command of a task': (round) => taskRound(services, base, round),
    };
    const rows = summarise(await interleave(contestants, rounds), 'docker run -d, docker exec');
    const ratio = (name) => rows.find((row) => row.name === name).ratio;
    const ratios = {
      'claim beside docker run': ratio('ours: claim, first command'),
      'claim with unpause beside docker run': ratio('ours: claim, unpause, first command'),
      'first command of a task beside docker run': ratio('ours: first command of a task'),
    };
    report(`Warm claim to first output, ${files} files, image ${image}, docker's network ${network}`, rows, {
      json,
      bars,
      ratios,
    });
    if (!json) for (const [name, value] of Object.entries(ratios)) process.stdout.write(line(name, value));
  },
  { OPENCODE_TOOLS_POOL_SIZE: '2' },
);

function line(name, ratio) {
  return `${name}: ${ratio.toFixed(3)}x${bars[name] === undefined ? '' : ` (bar ${bars[name]}x)`}\n`;
}

async function fork(services, base, title) {
  const task = await services.tasks.fork(base.id, { title, checkpoint: 'base' }, call);
  const command = { kind: 'argv', argv: ['ls', 'd'] };
  await services.executions.run(task.id, { command }, call);
  return task;
}

/** What a task's first command does, with its lease and all its records; the sandbox must come from the pool. */
async function taskRound(services, base, round) {
  const task = await services.tasks.fork(base.id, { title: `Round ${round}`, checkpoint: 'base' }, call);
  await ready(services);
  let firstAt;
  const onOutput = () => (firstAt ??= performance.now());
  const command = { kind: 'argv', argv: ['echo', 'up'] };
  const from = performance.now();
  await services.executions.run(task.id, { command, onOutput }, call);
  const ms = firstAt - from;
  const { pooled } = await services.housekeeper.status();
  if (!pooled.some(({ claim }) => claim?.taskId === task.id)) throw new Error('The task took no sandbox of the pool');
  await services.tasks.delete(task.id, { force: true }, call);
  await ready(services);
  return ms;
}

/**
 * Waits until every place of the pool is filled, so that nothing is being made while the next round is timed. A kind that
 * could not be made is not tried again until it is asked for, so that the wait has a limit.
 */
async function ready(services) {
  const until = performance.now() + readyLimitMs;
  for (;;) {
    await services.housekeeper.turn();
    const { pooled, poolSize } = await services.housekeeper.status();
    const states = pooled.map(({ state }) => state);
    if (states.filter((state) => state === 'ready').length >= poolSize) return;
    if (performance.now() > until) {
      throw new Error(`Of ${poolSize} sandboxes the pool has after ${readyLimitMs} ms: ${states.join(', ') || 'none'}`);
    }
    await delay(50);
  }
}

/** The claim itself: an entry that is ready already, its row, the fence, and a command over the lane that is open. */
async function claimRound(ports, imageId, workspace, paused) {
  const id = ports.ids.next('operation');
  const volume = `oct-bench-${id.slice(-12)}-workspace`;
  const labels = { 'io.opencode-tools.home': ports.homeId, 'io.opencode-tools.kind': 'workspace' };
  const owner = { uid: 1000, gid: 1000 };
  await ports.workspaces.provision({ volume, labels, owner, snapshotId: workspace.id });
  const mounts = [{ kind: 'volume', volume, target: '/workspace', readOnly: false }];
  const plan = { ...benchPlan(ports, imageId, mounts), taskId: null, fence: null };
  const handle = await ports.runtime.create(plan);
  const entry = {
    id,
    key: 'bench',
    state: 'ready',
    version: 1,
    owner: ports.processes.self(),
    name: plan.name,
    ref: handle.ref,
    imageId,
    workspaceVolume: volume,
    homeVolume: volume,
    claim: null,
    createdAt: new Date().toISOString(),
  };
  await ports.housekeeping.addPooled(entry, 100);
  if (paused) await handle.pause();
  const claim = { taskId: ports.ids.next('task'), operationId: ports.ids.next('operation') };
  const taken = { ...entry, state: 'claimed', version: 2, claim };
  let firstAt;
  const from = performance.now();
  if (!(await ports.housekeeping.replacePooled(taken))) throw new Error('The entry was taken by somebody else');
  if (paused) await handle.unpause();
  await handle.fence({ minToken: 1, revoked: [] });
  await handle.exec({
    executionId: ports.ids.next('execution'),
    token: 1,
    command: { kind: 'argv', argv: ['echo', 'up'] },
    cwd: '/workspace',
    env: {},
    onStdout: () => void (firstAt ??= performance.now()),
    onStderr: () => undefined,
  });
  const ms = firstAt - from;
  await handle.destroy();
  await ports.runtime.volumes.remove(volume);
  await ports.housekeeping.removePooled(taken);
  return ms;
}

async function dockerRound() {
  const from = performance.now();
  const container = (await run('docker', ['run', '-d', '--network', network, image, 'sleep', '1000'])).trim();
  try {
    await run('docker', ['exec', container, 'echo', 'up']);
    return performance.now() - from;
  } finally {
    await run('docker', ['rm', '-f', container]);
  }
}
