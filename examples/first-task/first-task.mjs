/*
 * node examples/first-task/first-task.mjs
 *
 * The first minutes with the command line, printed as they look in a terminal. Runs the built command line on a home of its
 * own and removes it; needs a Docker Engine. Fails when a command ends otherwise than it should.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const bin = fileURLToPath(new URL('../../apps/cli/dist/bin.cjs', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'opencode-tools-first-'));
const env = { ...process.env, OPENCODE_TOOLS_HOME: join(directory, 'home'), NO_COLOR: '1' };
delete env.OPENCODE_TOOLS_SESSION;

try {
  oct('create-task', 'Count the lines');
  oct('exec', 'Count the lines', '--script', 'seq 3 > numbers; wc -l numbers');
  oct('checkpoint', 'Count the lines', '--name', 'three');
  oct('exec', 'Count the lines', '--', 'rm', 'numbers');
  oct('restore-checkpoint', 'Count the lines', 'three');
  oct('exec', 'Count the lines', '--', 'wc', '-l', 'numbers');
  oct('complete-task', 'Count the lines');
} finally {
  run(['cleanup-task', 'Count the lines', '--force']);
  rmSync(directory, { recursive: true, force: true });
}

/** Runs one command line that has to end with 0, and prints it with its output. */
function oct(...args) {
  const { status, stdout, stderr } = run(args);
  const typed = args.map((word) => (/^[\w.-]+$/.test(word) ? word : `"${word}"`)).join(' ');
  process.stdout.write(`$ opencode-tools ${typed}\n${stdout}\n`);
  assert.equal(status, 0, stderr);
}

function run(args) {
  return spawnSync(process.execPath, [bin, ...args], { env, cwd: directory, encoding: 'utf8' });
}
