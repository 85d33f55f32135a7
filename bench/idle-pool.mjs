/*
 * node --conditions=@opencode-tools/source bench/idle-pool.mjs [--rounds 3] [--json]
 *
 * What a sandbox of the pool costs while nobody asks for it: the memory of everything that runs for it (PSS: its own processes and
 * the engine's shim), and processor time over a few seconds, beside a bare container that sleeps. Reads /proc of the engine's
 * processes, so it needs root on the engine's host.
 */
import { readFile, readdir } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { benchOptions, quantile, round, run } from './lib/measure.mjs';
import { benchPlan } from './lib/sandboxes.mjs';
import { withTemporaryHome } from './lib/temporary-home.mjs';

const { json, rounds } = benchOptions(3);
const image = process.env.OPENCODE_TOOLS_DEFAULT_IMAGE ?? 'opencode-sandbox-base';
const idleMs = 5_000;
const samples = { pooled: [], bare: [] };
const cpuMs = { pooled: [], bare: [] };

await withTemporaryHome(async ({ ports }) => {
  const { id: imageId } = await ports.images.ensure(image);
  for (let index = 0; index < rounds; index += 1) {
    const handle = await ports.runtime.create({ ...benchPlan(ports, imageId), taskId: null, fence: null });
    const bare = (await run('docker', ['run', '-d', '--network', 'none', image, 'sleep', '1000'])).trim();
    try {
      for (const [name, id] of Object.entries({ pooled: handle.ref, bare })) {
        const before = await processorMs(id);
        await delay(idleMs);
        cpuMs[name].push((await processorMs(id)) - before);
        samples[name].push(await pssOf(id));
      }
    } finally {
      await handle.destroy();
      await run('docker', ['rm', '-f', bare]);
    }
  }
});

const median = (values) => quantile(values, 0.5);
const result = {
  image,
  pooledKib: round(median(samples.pooled)),
  bareKib: round(median(samples.bare)),
  ratio: round(median(samples.pooled) / median(samples.bare), 2),
  bar: 1.3,
  pooledCpuMs: round(median(cpuMs.pooled)),
  bareCpuMs: round(median(cpuMs.bare)),
  idleMs,
};
process.stdout.write(
  json
    ? `${JSON.stringify(result, null, 2)}\n`
    : `Idle sandbox, image ${image}\n\npooled ${result.pooledKib} KiB PSS, bare sleep ${result.bareKib} KiB: ${result.ratio}x (bar ${result.bar}x)\nprocessor time in ${idleMs} ms: pooled ${result.pooledCpuMs} ms, bare ${result.bareCpuMs} ms\n`,
);

/** Processes of a container and the shim that is their parent, in KiB. */
async function pssOf(id) {
  const inside = await processesOf(id);
  const main = Number((await run('docker', ['inspect', '--format', '{{.State.Pid}}', id])).trim());
  const shim = Number(/^PPid:\s+(\d+)$/m.exec(await readFile(`/proc/${main}/status`, 'utf8'))[1]);
  let total = 0;
  for (const pid of [...inside, shim]) {
    total += Number(/^Pss:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]);
  }
  return total;
}

async function processorMs(id) {
  let ticks = 0;
  for (const pid of await processesOf(id)) {
    const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1].split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * 10;
}

/** Every process whose control group is the container's. */
async function processesOf(id) {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const groups = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '')));
  return pids.filter((_, index) => groups[index].includes(id));
}
