import { accessSync, constants, readFileSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { run, say } from './process.mjs';

const pnpmVersion = '10.34.9';
const minimumNode = [22, 18];
const argumentsVariable = 'OPENCODE_TOOLS_RUN_ARGUMENTS';

/** Tells whether this process runs on the Node, and finds the pnpm, that the workspace needs. */
export function hasToolchain() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const nodeIsNewEnough = major > minimumNode[0] || (major === minimumNode[0] && minor >= minimumNode[1]);
  return nodeIsNewEnough && findPnpmVersion() === pnpmVersion;
}

/** Returns the arguments of this run: those of the command line, or those handed over by `runAgainWithToolchain`. */
export function runArguments() {
  const handedOver = process.env[argumentsVariable];
  return handedOver === undefined ? process.argv.slice(2) : JSON.parse(handedOver);
}

/**
 * Runs `scripts/run.mjs` again under a Node and pnpm fetched by npx, and returns its exit code.
 * The arguments travel in the environment: no shell has to quote them, and a second hand-over is noticed.
 */
export function runAgainWithToolchain() {
  if (process.env[argumentsVariable] !== undefined) {
    say(`npx did not provide Node ${minimumNode.join('.')} and pnpm ${pnpmVersion}.`);
    say(`Remedy: install Node 24 (https://nodejs.org), then run: npm install --global pnpm@${pnpmVersion}`);
    return Promise.resolve(6);
  }
  say(`Using Node 24 and pnpm ${pnpmVersion} through npx.`);
  const packages = ['-p', 'node@24', '-p', `pnpm@${pnpmVersion}`];
  return run('npx', ['--yes', ...packages, '-c', 'node scripts/run.mjs'], {
    stdout: 'inherit',
    env: { [argumentsVariable]: JSON.stringify(process.argv.slice(2)), npm_config_update_notifier: 'false' },
  });
}

/** Forgets the hand-over, so that programs started from here can start `scripts/run.mjs` themselves. */
export function acceptHandOver() {
  delete process.env[argumentsVariable];
}

function findPnpmVersion() {
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    const version = pnpmVersionIn(directory);
    if (version !== undefined) return version;
  }
  return undefined;
}

// Reading the package beside the command costs a millisecond; `pnpm --version` costs half a second.
function pnpmVersionIn(directory) {
  try {
    const command = join(directory, 'pnpm');
    accessSync(command, constants.X_OK);
    const manifest = join(dirname(realpathSync(command)), '..', 'package.json');
    const { name, version } = JSON.parse(readFileSync(manifest, 'utf8'));
    return name === 'pnpm' ? version : 'unknown';
  } catch {
    return undefined;
  }
}
