/*
 * node --conditions=@opencode-tools/source bench/create-to-first-output.mjs [--rounds 10] [--json]
 *
 * From nothing to the first output of a command, image present: a task of ours (hardened, no network, with its ledger
 * records and two volumes) and a sandbox of our runtime alone, beside `docker run -d` and `docker exec` by the docker command,
 * and beside the fewest calls to the engine's API that give the same container and an output.
 */
import { benchOptions, interleave, report, run, summarise } from './lib/measure.mjs';
import { rawFirstOutput, rawRemove, rawRemoveVolume } from './lib/raw-engine.mjs';
import { benchPlan, firstOutput, newVolumes, optionsOf } from './lib/sandboxes.mjs';
import { call, withTemporaryHome } from './lib/temporary-home.mjs';

const { json, rounds } = benchOptions(10);
const image = process.env.OPENCODE_TOOLS_DEFAULT_IMAGE ?? 'opencode-sandbox-base';
const bars = {
  'sandbox beside docker run': 0.45,
  'sandbox beside docker run --network none': 0.6,
  'sandbox beside the raw calls': 1.15,
};

await withTemporaryHome(async ({ services, ports }) => {
  const { id: imageId } = await ports.images.ensure(image);
  const contestants = {
    'docker run -d, docker exec': () => dockerRound([]),
    'docker run -d --network none, docker exec': () => dockerRound(['--network', 'none']),
    'raw calls, same options': () => rawRound(ports, imageId, []),
    'ours: a sandbox of the runtime, a command': () => runtimeRound(ports, imageId),
    'raw calls, same options and volumes': () => rawRound(ports, imageId, newVolumes(ports)),
    'ours: create a task, run a command': (round) => taskRound(services, round),
  };
  const rows = summarise(await interleave(contestants, rounds), 'docker run -d, docker exec');
  const median = (name) => rows.find((row) => row.name === name).medianMs;
  const sandbox = median('ours: a sandbox of the runtime, a command');
  const task = median('ours: create a task, run a command');
  const ratios = {
    'sandbox beside docker run': sandbox / median('docker run -d, docker exec'),
    'sandbox beside docker run --network none': sandbox / median('docker run -d --network none, docker exec'),
    'sandbox beside the raw calls': sandbox / median('raw calls, same options'),
    'task beside docker run': task / median('docker run -d, docker exec'),
    'task beside the raw calls with volumes': task / median('raw calls, same options and volumes'),
  };
  report(`Create to first output, image ${image}`, rows, { json, bars, ratios });
  if (!json) for (const [name, ratio] of Object.entries(ratios)) process.stdout.write(line(name, ratio));
});

function line(name, ratio) {
  return `${name}: ${ratio.toFixed(2)}x${bars[name] === undefined ? '' : ` (bar ${bars[name]}x)`}\n`;
}

async function taskRound({ tasks, executions }, round) {
  const from = performance.now();
  const task = await tasks.create({ title: `Round ${round}`, image }, call);
  let firstAt;
  const onOutput = () => (firstAt ??= performance.now());
  const command = { kind: 'argv', argv: ['echo', 'up'] };
  const { execution } = await executions.run(task.id, { command, onOutput }, call);
  if (execution.exitCode !== 0) throw new Error(`echo ended with ${execution.exitCode}`);
  const ms = firstAt - from;
  await tasks.delete(task.id, { force: true }, call);
  return ms;
}

async function runtimeRound(ports, imageId) {
  const { sandbox, ms } = await firstOutput(ports, benchPlan(ports, imageId));
  await sandbox.destroy();
  return ms;
}

async function rawRound(ports, imageId, mounts) {
  const { id, ms } = await rawFirstOutput(optionsOf(benchPlan(ports, imageId, mounts)));
  await rawRemove(id);
  for (const { volume } of mounts) await rawRemoveVolume(volume);
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
