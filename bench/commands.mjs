/*
 * node --conditions=@opencode-tools/source bench/commands.mjs [--rounds 100] [--json]
 *
 * What a command costs in a sandbox that runs: `true` by a lane, and by a task with its records, each in turn with `docker exec`; one in
 * a process that the engine started for it alone, as commands with standard input and those in the background have, which is started ahead
 * while another has its turn; 64 commands one after the other and 16 at once, beside raw calls of the
 * engine's exec; and 100 MB of output, read by the runtime and kept by a task, beside `docker exec` into a file, a new one each
 * time as a task has: one that is truncated takes its unwritten pages along. The output is of zeros and of a listing, which are packed
 * before the engine passes them on, and of random bytes, which go as they are: three quarters of the processor time of those are the
 * engine's, on the same way that `docker exec` has, so a digest and a file leave a task what starting that takes and no more. Series
 * and output have a tenth of the rounds. The home is in the directory for temporary files: name one with `TMPDIR` that is not on the
 * root file system.
 */
import { join } from 'node:path';
import { benchOptions, interleave, report, run, summarise } from './lib/measure.mjs';
import { rawExec } from './lib/raw-engine.mjs';
import { call, withTemporaryHome } from './lib/temporary-home.mjs';

const { json, rounds } = benchOptions(100);
const image = process.env.OPENCODE_TOOLS_DEFAULT_IMAGE ?? 'opencode-sandbox-base';
const outputBytes = 100_000_000;
const seriesLength = 64;
const callers = 16;

await withTemporaryHome(async ({ services, ports, directory }) => {
  const task = await services.tasks.create({ title: 'Commands', image }, call);
  const { session, lease } = await services.sessions.attach(task.id, { agent: 'bench' }, call);
  const byTask = async (argv, more = {}) => {
    const options = { command: { kind: 'argv', argv }, sessionId: session.id, ...more };
    const { execution } = await services.executions.run(task.id, options, call);
    return execution.stdout.bytes;
  };
  await byTask(['true']);
  const { sandbox } = await services.tasks.view(task.id);
  const handle = await ports.runtime.find(sandbox.ref);
  const byRuntime = async (argv, more = {}) => {
    let bytes = 0;
    await handle.exec({
      executionId: ports.ids.next('execution'),
      token: lease.token,
      command: { kind: 'argv', argv },
      cwd: '/workspace',
      env: {},
      onStdout: (chunk) => void (bytes += chunk.length),
      onStderr: () => undefined,
      lendsChunks: true,
      ...more,
    });
    return bytes;
  };
  let files = 0;
  const fromDocker = (argv) => {
    const file = join(directory, `output-${(files += 1)}`);
    return run('sh', ['-c', 'exec docker exec "$@" >"$0"', file, sandbox.ref, ...argv]);
  };
  const docker = { 'docker exec': async () => void (await fromDocker(['true'])) };
  const alone = { ...docker, 'ours: the runtime alone': async () => void (await byRuntime(['true'])) };
  const recorded = { ...docker, 'ours: a command of a task': async () => void (await byTask(['true'])) };
  const input = Buffer.from('so much');
  const came = async (bytes) => {
    if ((await bytes) !== input.length) throw new Error(`${await bytes} bytes came of ${input.length}`);
  };
  const fromDockerWithInput = (argv) => {
    const file = join(directory, `output-${(files += 1)}`);
    const script = 'printf "so much" | docker exec -i "$@" >"$0"';
    return run('sh', ['-c', script, file, sandbox.ref, ...argv]);
  };
  const dockerWithInput = { 'docker exec -i': async () => void (await fromDockerWithInput(['cat'])) };
  const ownAlone = { ...dockerWithInput, 'ours: the runtime alone': () => came(byRuntime(['cat'], { stdin: input })) };
  const ownRecorded = {
    ...dockerWithInput,
    'ours: a command of a task': () => came(byTask(['cat'], { stdin: input })),
  };
  const inBackground = {
    'docker exec -d': async () => void (await run('docker', ['exec', '-d', sandbox.ref, 'true'])),
    'ours: the runtime alone': async () => {
      const executionId = ports.ids.next('execution');
      const request = { executionId, token: lease.token, command: { kind: 'argv', argv: ['true'] }, cwd: '/', env: {} };
      const from = performance.now();
      await handle.background.spawn({ ...request, timeoutMs: 60_000, openInput: false });
      const ms = performance.now() - from;
      await handle.background.forget(executionId);
      return ms;
    },
  };
  const inARow = (one) => async () => {
    for (let index = 0; index < seriesLength; index += 1) await one(['true']);
  };
  const atOnce = (one) => async () => {
    const each = async () => {
      for (let index = 0; index < seriesLength / callers; index += 1) await one(['true']);
    };
    await Promise.all(Array.from({ length: callers }, each));
  };
  const series = (way) => ({
    'raw exec of the engine': way((argv) => rawExec(sandbox.ref, argv)),
    'ours: the runtime alone': way(byRuntime),
    'ours: a command of a task': way(byTask),
  });
  const all = async (bytes) => {
    if ((await bytes) !== outputBytes) throw new Error(`${await bytes} bytes came of ${outputBytes}`);
  };
  const listing =
    'ls -lR /usr >/tmp/one; for n in $(seq 1000); do cat /tmp/one; done 2>/dev/null | head -c "$0" >/workspace/listing';
  await byTask(['sh', '-c', listing, String(outputBytes)]);
  await byTask(['sh', '-c', 'head -c "$0" /dev/urandom >/workspace/random', String(outputBytes)]);
  const large = (argv) => ({
    'docker exec, to a file': async () => void (await fromDocker(argv)),
    'ours: the runtime alone': async () => all(byRuntime(argv)),
    'ours: a command of a task': async () => all(byTask(argv)),
  });
  const tenth = Math.ceil(rounds / 10);
  const sets = {
    'true in a sandbox that runs': [alone, rounds],
    'true in a sandbox that runs, with its records': [recorded, rounds],
    'cat with standard input, in a process that the engine started for it': [ownAlone, rounds],
    'cat with standard input, likewise, with its records': [ownRecorded, rounds],
    'true begins in the background, likewise': [inBackground, rounds],
    [`${seriesLength} times true in a row`]: [series(inARow), tenth],
    [`${seriesLength} times true, ${callers} at once`]: [series(atOnce), tenth],
    '100 MB of output': [large(['head', '-c', String(outputBytes), '/dev/zero']), tenth],
    '100 MB of output, a listing': [large(['cat', '/workspace/listing']), tenth],
    '100 MB of output, random bytes': [large(['cat', '/workspace/random']), tenth],
  };
  for (const [title, [contestants, times]] of Object.entries(sets)) {
    const samples = await interleave(contestants, times);
    report(title, summarise(samples, Object.keys(contestants)[0]), { json });
    if (!json) process.stdout.write(`\n${peaks(samples)}\n\n`);
  }
});

function peaks(samples) {
  const at99 = (times) => times.toSorted((a, b) => a - b)[Math.floor((times.length - 1) * 0.99)];
  return Object.entries(samples)
    .map(([name, times]) => `p99 ${name}: ${at99(times).toFixed(1)} ms`)
    .join('\n');
}
