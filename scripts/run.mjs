/*
 * node scripts/run.mjs demo|test|soak|check|build [arguments]
 *
 * Starts on any Node from 20 on, with npm and nothing installed: fetches the toolchain, installs, builds, and brings up a
 * Docker Engine as far as each command needs. Everything printed on the way goes to standard error.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ensureEngine, ensureGvisor } from './ensure-engine.mjs';
import { runChecks } from './lib/checks.mjs';
import { root, run, say } from './lib/process.mjs';
import { acceptHandOver, hasToolchain, runAgainWithToolchain, runArguments } from './lib/toolchain.mjs';
import { buildAll, buildApps, install } from './lib/workspace.mjs';

const commands = { demo, test, soak, check, build };

process.exitCode = await main();

async function main() {
  const [name, ...args] = runArguments();
  const command = Object.hasOwn(commands, name ?? '') ? commands[name] : undefined;
  if (command === undefined) {
    say(`Usage: node scripts/run.mjs ${Object.keys(commands).join('|')} [arguments]`);
    return 2;
  }
  if (!hasToolchain()) return await runAgainWithToolchain();
  acceptHandOver();
  try {
    await install();
    return await command(args);
  } catch (error) {
    say(error.exitCode === undefined ? error.stack : error.message);
    return error.exitCode ?? 1;
  }
}

async function demo(args) {
  await buildApps();
  const engine = await engineEnvironment();
  const script = join(root, 'examples', 'main-job', 'demo.mjs');
  if (!existsSync(script)) throw new Error(`${script} does not exist.`);
  return await run(process.execPath, ['--enable-source-maps', script, ...args], { stdout: 'inherit', env: engine });
}

async function test(args) {
  await buildApps();
  const engine = await engineEnvironment();
  await ensureGvisor();
  return await run('pnpm', ['exec', 'vitest', 'run', ...args], { stdout: 'inherit', env: engine });
}

// The long form of what `test` does in a short one: 1,000 rounds of processes that are killed and stopped at random.
async function soak(args) {
  const env = { OPENCODE_TOOLS_SOAK: '1' };
  return await run('pnpm', ['exec', 'vitest', 'run', 'packages/persistence/test/soak', ...args], {
    stdout: 'inherit',
    env,
  });
}

async function build() {
  await buildAll();
  return 0;
}

async function check(args) {
  return await runChecks(args);
}

// Programs that look only at the default socket find the engine of a Docker context or a rootless one as well.
async function engineEnvironment() {
  const { endpoint, started } = await ensureEngine();
  if (started) say('The Docker Engine stays up. To stop it: node scripts/stop-engine.mjs');
  return { DOCKER_HOST: endpoint.url };
}
