import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root, run, say } from './process.mjs';
import { appsDigest, installDigest, isDone, markDone } from './stamps.mjs';

/** Installs the dependencies as locked, unless they are. */
export async function install() {
  const digest = installDigest();
  if (isDone('install', digest)) return;
  say('Installing dependencies.');
  const frozen = ['--frozen-lockfile', '--prefer-offline', '--config.confirm-modules-purge=false'];
  await mustSucceed('pnpm', ['install', ...frozen]);
  markDone('install', digest);
}

/**
 * Builds both apps, unless they are built from the present sources.
 * They bundle the packages from source, so no package has to be built first.
 */
export async function buildApps() {
  const digest = appsDigest();
  const built = ['cli', 'mcp'].every((app) => existsSync(join(root, 'apps', app, 'dist', 'bin.cjs')));
  if (built && isDone('apps', digest)) return;
  say('Building the apps.');
  await mustSucceed('pnpm', ['--filter', './apps/*', 'run', 'build']);
  markDone('apps', digest);
}

/** Builds every package and app, as they are published. */
export async function buildAll() {
  await mustSucceed('pnpm', ['exec', 'turbo', 'run', 'build', '--output-logs=errors-only']);
  markDone('apps', appsDigest());
}

async function mustSucceed(command, args) {
  const code = await run(command, args, { env: { TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' } });
  if (code !== 0) throw new StepFailed(`${command} ${args.join(' ')} ended with exit code ${code}.`, code);
}

/** A step ended badly and has printed why. */
class StepFailed extends Error {
  constructor(message, exitCode) {
    super(message);
    this.exitCode = exitCode;
  }
}
