/*
 * node --conditions=@opencode-tools/source examples/embed-core/embed.mjs
 *
 * opencode-tools as a library: create a task, run a command, make a checkpoint, fork. Needs a Docker Engine with the image
 * opencode-sandbox-base (or the one that OPENCODE_TOOLS_DEFAULT_IMAGE names). Works in a home of its own and removes it.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openHome } from '@opencode-tools/toolkit';

const directory = await mkdtemp(join(tmpdir(), 'opencode-tools-embed-'));
const home = await openHome({ home: directory, cwd: process.cwd(), environment: process.env });
const { tasks, executions, checkpoints } = home.services;
const actor = { kind: 'agent', id: 'embedder', agent: 'embedder', model: null, session: null, onBehalfOf: null };
const call = { actor };
const created = [];

try {
  const task = await tasks.create({ title: 'Count to three' }, call);
  created.push(task.id);

  const script = 'seq 3 > numbers; wc -l < numbers';
  const { execution, stdout } = await executions.run(task.id, { command: { kind: 'script', script } }, call);
  console.log(`exit ${execution.exitCode}, ${stdout.text.trim()} lines`);
  assert.equal(execution.exitCode, 0);
  assert.equal(stdout.text.trim(), '3');

  const checkpoint = await checkpoints.create(task.id, { name: 'three' }, call);
  console.log(`checkpoint ${checkpoint.name}: ${checkpoint.workspace.entries} entries`);

  const fork = await tasks.fork(task.id, { checkpoint: 'three', title: 'Count to four' }, call);
  created.push(fork.id);
  await executions.run(fork.id, { command: { kind: 'script', script: 'echo 4 >> numbers' } }, call);
  console.log(`fork: ${await linesOf(fork.id)} lines, first task: ${await linesOf(task.id)} lines`);
  assert.deepEqual([await linesOf(fork.id), await linesOf(task.id)], ['4', '3']);

  const { ok, records } = await home.services.ledger.verify();
  assert.ok(ok);
  console.log(`ledger intact, ${records} records`);
} finally {
  for (const id of created) await tasks.delete(id, { force: true }, call);
  await home.close();
  await rm(directory, { recursive: true, force: true });
}

async function linesOf(taskId) {
  const command = { kind: 'argv', argv: ['wc', '-l', 'numbers'] };
  const { stdout } = await executions.run(taskId, { command }, call);
  return stdout.text.split(' ')[0];
}
