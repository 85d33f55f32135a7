/*
 * node --conditions=@opencode-tools/source bench/peers.mjs [--rounds 20] [--json]
 *
 * A sandbox that installs from npm, @anthropic-ai/sandbox-runtime (a jail per command by bubblewrap, which has no state, no limits and
 * no record), beside ours: from nothing to the first output, a command, and 100 MB of output, which the peer also writes into a file,
 * as ours does. It is installed into a temporary directory; bubblewrap, socat and ripgrep, which it needs, have to be there. Output
 * has a quarter of the rounds. The home is in the directory for temporary files: name one with `TMPDIR` that is not on the root file
 * system.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { benchOptions, interleave, report, run, summarise } from './lib/measure.mjs';
import { call, withTemporaryHome } from './lib/temporary-home.mjs';

const { json, rounds } = benchOptions(20);
const peerPackage = '@anthropic-ai/sandbox-runtime';
const peerVersion = '0.0.83';
const image = process.env.OPENCODE_TOOLS_DEFAULT_IMAGE ?? 'opencode-sandbox-base';
const manyBytes = 100_000_000;
const many = `head -c ${manyBytes} /dev/zero`;

const directory = await mkdtemp(join(tmpdir(), 'oct-peers-'));
try {
  const peer = await openPeer(directory);
  await withTemporaryHome(async ({ services }) => {
    const task = await services.tasks.create({ title: 'Commands', image }, call);
    const { session } = await services.sessions.attach(task.id, { agent: 'bench' }, call);
    const ours = async (script) => {
      const options = { command: { kind: 'script', script }, sessionId: session.id };
      return (await services.executions.run(task.id, options, call)).execution.stdout.bytes;
    };
    await ours('true');
    await peer.open();
    const sizes = { 'echo up': 3, [many]: manyBytes };
    const exact = (way, script) => async () => {
      const bytes = await way(script);
      if (bytes !== sizes[script]) throw new Error(`${script} gave ${bytes} bytes`);
    };
    const both = (script) => ({ [peerPackage]: exact(peer.run, script), ours: exact(ours, script) });
    const kept = { [`${peerPackage}, into a file`]: exact(peer.keep, many) };
    const print = (title, samples) => report(title, summarise(samples, peerPackage), { json });
    print('A command', await interleave(both('echo up'), rounds));
    print(`\n${manyBytes / 1e6} MB of output`, await interleave({ ...both(many), ...kept }, Math.ceil(rounds / 4)));
    await peer.close();
    const starts = {
      [peerPackage]: async () => {
        await peer.open();
        await peer.run('echo up');
        await peer.close();
      },
      ours: (round) => firstOutput(services, round),
    };
    print('\nFrom nothing to the first output', await interleave(starts, rounds));
  });
} finally {
  await rm(directory, { recursive: true });
}

/** Leaves out the removal of the task. */
async function firstOutput({ tasks, executions }, round) {
  const from = performance.now();
  const task = await tasks.create({ title: `Round ${round}`, image }, call);
  await executions.run(task.id, { command: { kind: 'script', script: 'echo up' } }, call);
  const ms = performance.now() - from;
  await tasks.delete(task.id, { force: true }, call);
  return ms;
}

async function openPeer(at) {
  const work = join(at, 'work');
  await mkdir(work);
  await writeFile(join(at, 'package.json'), '{"private":true}');
  await run('npm', ['install', '--no-audit', '--no-fund', `${peerPackage}@${peerVersion}`], { cwd: at });
  const main = createRequire(join(at, 'package.json')).resolve(peerPackage);
  const { SandboxManager } = await import(pathToFileURL(main).href);
  const settings = {
    network: { allowedDomains: [], deniedDomains: [] },
    filesystem: { denyRead: [], allowWrite: [work], denyWrite: [] },
  };
  const start = async (command, stdout) => {
    const wrapped = await SandboxManager.wrapWithSandbox(command);
    return spawn('sh', ['-c', wrapped], { cwd: work, stdio: ['ignore', stdout, 'inherit'] });
  };
  const ended = async (child, command) => {
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`${command} ended with ${code}`);
  };
  let files = 0;
  return {
    open: () => SandboxManager.initialize(settings),
    close: () => SandboxManager.reset(),
    run: async (command) => {
      const child = await start(command, 'pipe');
      let bytes = 0;
      child.stdout.on('data', (chunk) => (bytes += chunk.length));
      await ended(child, command);
      return bytes;
    },
    keep: async (command) => {
      const file = await open(join(at, `output-${(files += 1)}`), 'w');
      try {
        await ended(await start(command, file.fd), command);
        return (await file.stat()).size;
      } finally {
        await file.close();
      }
    },
  };
}
