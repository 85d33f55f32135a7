/*
 * node --conditions=@opencode-tools/source bench/create-to-first-output.mjs [--rounds 10] [--json]
 *
 * From nothing to the first output of a command, image present: a task of ours (hardened, no network, with its ledger
 * records and two volumes) and a sandbox of our runtime alone, beside `docker run -d` and `docker exec` by the docker command.
 */
import { benchOptions, interleave, report, run, summarise } from './lib/measure.mjs';
import { call, withTemporaryHome } from './lib/temporary-home.mjs';

const { json, rounds } = benchOptions(10);
const image = process.env.OPENCODE_TOOLS_DEFAULT_IMAGE ?? 'opencode-sandbox-base';

await withTemporaryHome(async ({ services, ports }) => {
  const { id: imageId } = await ports.images.ensure(image);
  const contestants = {
    'docker run -d, docker exec': () => dockerRound([]),
    'docker run -d --network none, docker exec': () => dockerRound(['--network', 'none']),
    'ours: a sandbox of the runtime, a command': () => runtimeRound(ports, imageId),
    'ours: create a task, run a command': (round) => taskRound(services, round),
  };
  const rows = summarise(await interleave(contestants, rounds), 'docker run -d, docker exec');
  report(`Create to first output, image ${image}`, rows, { json, bar: 0.7 });
});

async function taskRound({ tasks, executions }, round) {
  const from = performance.now();
  const task = await tasks.create({ title: `Round ${round}`, image }, call);
  let firstOutput;
  const onOutput = () => (firstOutput ??= performance.now());
  const { execution } = await executions.run(
    task.id,
    { command: { kind: 'argv', argv: ['echo', 'up'] }, onOutput },
    call,
  );
  if (execution.exitCode !== 0) throw new Error(`echo ended with ${execution.exitCode}`);
  const ms = firstOutput - from;
  await tasks.delete(task.id, { force: true }, call);
  return ms;
}

async function runtimeRound({ runtime, ids, homeId, defaults }, imageId) {
  const from = performance.now();
  const operationId = ids.next('operation');
  const sandbox = await runtime.create({
    name: `bench-${operationId.slice(-8)}`,
    homeId,
    taskId: ids.next('task'),
    operationId,
    generation: 1,
    imageId,
    user: defaults.user,
    limits: defaults.limits,
    networkMode: 'fixed-none',
    mounts: [],
    workingDirectory: '/workspace',
    readOnlyRoot: false,
    runtime: null,
    fence: { minToken: 0, revoked: [] },
  });
  let firstOutput;
  await sandbox.exec({
    executionId: ids.next('execution'),
    token: 1,
    command: { kind: 'argv', argv: ['echo', 'up'] },
    cwd: '/workspace',
    env: {},
    onStdout: () => (firstOutput ??= performance.now()),
    onStderr: () => undefined,
  });
  const ms = firstOutput - from;
  await sandbox.destroy();
  return ms;
}

async function dockerRound(options) {
  const from = performance.now();
  const container = (await run('docker', ['run', '-d', ...options, image, 'sleep', '1000'])).trim();
  try {
    await run('docker', ['exec', container, 'echo', 'up']);
    return performance.now() - from;
  } finally {
    await run('docker', ['rm', '-f', container]);
  }
}
