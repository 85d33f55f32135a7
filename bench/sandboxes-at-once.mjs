/*
 * node --conditions=@opencode-tools/source bench/sandboxes-at-once.mjs [--rounds 3] [--json]
 *
 * Ten and fifty sandboxes asked for at once, each to the first output of a command, beside as many `docker run -d` and
 * `docker exec`; and the removal of each of ours beside the engine's own removal of an equal container.
 */
import { benchOptions, quantile, report, round, run } from './lib/measure.mjs';
import { rawFirstOutput, rawRemove } from './lib/raw-engine.mjs';
import { benchPlan, firstOutput, optionsOf } from './lib/sandboxes.mjs';
import { withTemporaryHome } from './lib/temporary-home.mjs';

const { json, rounds } = benchOptions(3);
const image = process.env.OPENCODE_TOOLS_DEFAULT_IMAGE ?? 'opencode-sandbox-base';
const removals = 40;
const bars = { 'wall of 10': 0.5, 'slowest of 50': 0.6, failures: 0, 'destroy p95 beside raw remove': 1.5 };

await withTemporaryHome(async ({ ports }) => {
  const { id: imageId } = await ports.images.ensure(image);
  const rows = [];
  for (const count of [10, 50]) {
    const docker = [];
    const ours = [];
    for (let at = 0; at < Math.max(1, count === 10 ? rounds : Math.ceil(rounds / 3)); at += 1) {
      docker.push(await atOnce(count, dockerOne));
      ours.push(await atOnce(count, () => oursOne(ports, imageId)));
    }
    rows.push(row(`${count} at once: docker run -d, docker exec`, docker));
    rows.push(row(`${count} at once: ours`, ours));
  }
  const removal = await compareRemoval(ports, imageId);
  const of = (name) => rows.find((each) => each.name === name);
  const ratios = {
    'wall of 10': of('10 at once: ours').wallMs / of('10 at once: docker run -d, docker exec').wallMs,
    'slowest of 50': of('50 at once: ours').slowestMs / of('50 at once: docker run -d, docker exec').slowestMs,
    failures: rows.filter(({ name }) => name.endsWith('ours')).reduce((sum, { failed }) => sum + failed, 0),
    'destroy p95 beside raw remove': removal.ours / removal.raw,
  };
  report(`Sandboxes at once, image ${image}`, rows, { json, bars, ratios, removal });
  if (json) return;
  process.stdout.write(`removal of one, p95: raw ${round(removal.raw)} ms, ours ${round(removal.ours)} ms\n`);
  for (const [name, ratio] of Object.entries(ratios))
    process.stdout.write(`${name}: ${round(ratio, 2)} (bar ${bars[name]})\n`);
});

function row(name, samples) {
  const middle = (member) =>
    round(
      quantile(
        samples.map((sample) => sample[member]),
        0.5,
      ),
    );
  const failed = samples.reduce((sum, sample) => sum + sample.failed, 0);
  return { name, rounds: samples.length, wallMs: middle('wallMs'), slowestMs: middle('slowestMs'), failed };
}

async function atOnce(count, one) {
  const from = performance.now();
  const ends = await Promise.allSettled(Array.from({ length: count }, () => one()));
  const wallMs = performance.now() - from;
  const done = ends.filter(({ status }) => status === 'fulfilled').map(({ value }) => value);
  for (const { remove } of done) await remove();
  return { wallMs, slowestMs: Math.max(...done.map(({ ms }) => ms)), failed: count - done.length };
}

async function dockerOne() {
  const from = performance.now();
  const container = (await run('docker', ['run', '-d', image, 'sleep', '1000'])).trim();
  await run('docker', ['exec', container, 'echo', 'up']);
  return { ms: performance.now() - from, remove: () => run('docker', ['rm', '-f', container]) };
}

async function oursOne(ports, imageId) {
  const from = performance.now();
  const { sandbox } = await firstOutput(ports, benchPlan(ports, imageId));
  return { ms: performance.now() - from, remove: () => sandbox.destroy() };
}

async function compareRemoval(ports, imageId) {
  const raw = [];
  const ours = [];
  for (let at = 0; at < removals; at += 1) {
    raw.push(await rawRemove((await rawFirstOutput(optionsOf(benchPlan(ports, imageId)))).id));
    const { sandbox } = await firstOutput(ports, benchPlan(ports, imageId));
    const from = performance.now();
    await sandbox.destroy();
    ours.push(performance.now() - from);
  }
  return { raw: quantile(raw, 0.95), ours: quantile(ours, 0.95) };
}
