/*
 * node --expose-gc --conditions=@opencode-tools/source bench/many-commands.mjs [--rounds 10000] [--json]
 *
 * What many commands leave behind, each an execution with its records, every hundredth in a shell that stays, every thousandth given up:
 * descriptors and memory of this process, processes and files of the supervisors in the sandbox, counted before and after. The first
 * 3,300 are not counted: in them caches fill, and V8 gives its young generation the size that it keeps.
 */
import { readdirSync } from 'node:fs';
import { benchOptions, round, run } from './lib/measure.mjs';
import { call, withTemporaryHome } from './lib/temporary-home.mjs';

const { json, rounds } = benchOptions(10_000);
const image = process.env.OPENCODE_TOOLS_DEFAULT_IMAGE ?? 'opencode-sandbox-base';
const callers = 4;
const warmUp = 3_300;
if (globalThis.gc === undefined)
  throw new Error('Run it with --expose-gc: memory that is only not collected yet is no leak');

await withTemporaryHome(async ({ services }) => {
  const task = await services.tasks.create({ title: 'Many commands', image }, call);
  const { session } = await services.sessions.attach(task.id, { agent: 'bench' }, call);
  const command = { kind: 'script', script: 'echo out; echo err >&2' };
  let next = 0;
  const one = async () => {
    next += 1;
    const options = { command, sessionId: session.id };
    if (next % 1_000 === 0)
      Object.assign(options, { command: { kind: 'script', script: 'sleep 600' }, timeoutMs: 100 });
    else if (next % 100 === 0) Object.assign(options, { shell: 'stays' });
    await services.executions.run(task.id, options, call);
  };
  const many = async (commands) => {
    const caller = async () => {
      for (let index = 0; index < commands / callers; index += 1) await one();
    };
    await Promise.all(Array.from({ length: callers }, caller));
  };
  await one();
  const { sandbox } = await services.tasks.view(task.id);
  const count = async () => {
    globalThis.gc();
    globalThis.gc();
    const { heapUsed, heapTotal, external, rss } = process.memoryUsage();
    const inside = (argv) => run('docker', ['exec', '-u', '0', sandbox.ref, 'sh', '-c', argv]);
    return {
      descriptors: readdirSync('/proc/self/fd').length,
      processes: (await run('docker', ['top', sandbox.ref, '-o', 'pid'])).trim().split('\n').length - 1,
      files: Number(await inside('ls -R /run/oct | grep -c .')),
      usedMiB: round((heapUsed + external) / 1024 ** 2, 2),
      heapMiB: round(heapTotal / 1024 ** 2),
      rssMiB: round(rss / 1024 ** 2),
    };
  };
  await many(warmUp);
  const before = await count();
  const from = performance.now();
  await many(rounds);
  const seconds = (performance.now() - from) / 1_000;
  const after = await count();
  const growth = Object.fromEntries(Object.keys(before).map((name) => [name, round(after[name] - before[name], 2)]));
  const result = { image, rounds, seconds: round(seconds), before, after, growth, barMiB: 5 };
  if (json) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  else {
    process.stdout.write(`${rounds} commands in ${result.seconds} s, image ${image}\n\n`);
    for (const [name, by] of Object.entries(growth))
      process.stdout.write(`${name.padEnd(12)} ${before[name]} to ${after[name]} (${by >= 0 ? '+' : ''}${by})\n`);
  }
});
