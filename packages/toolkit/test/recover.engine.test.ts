import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OpenHome, TaskId } from '@opencode-tools/core';
import { randomFrom, testSeed } from '@opencode-tools/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callBy } from './support/home-without-engine.ts';
import { type TestHome, createTestHome } from './support/test-home.ts';
import { bash, describeScript, listScript, makeEdits } from './support/volume-model.ts';

const call = callBy('tester');
const seed = testSeed();
console.info(`recover: OPENCODE_TOOLS_SEED=${seed}`);

let home: TestHome;
let open: OpenHome;
let directory: string;
beforeAll(async () => {
  home = await createTestHome();
  open = await home.open();
  directory = await mkdtemp(join(tmpdir(), 'oct-recover-'));
});
afterAll(async () => {
  await open.close();
  await home.remove();
  await rm(directory, { recursive: true, force: true });
});

/** What a script of the agent prints, run in `cwd`: edits may have left a workspace that the agent cannot enter. */
const sh = async (task: TaskId, script: string, cwd = '/workspace'): Promise<string> =>
  (await open.services.executions.run(task, { command: { kind: 'script', script }, cwd }, call)).stdout.text;

/** Edits without extended attributes and holes, which the content store does not keep. */
const editsOf = (names: readonly string[], count: number, random: () => number): string =>
  makeEdits(['.', ...names.filter(Boolean)], count, random, { pipes: false })
    .split('\n')
    .filter((line) => !/syscall|truncate/.test(line))
    .join('\n');

/** Runs a script on the workspace of a task as root, beside its sandbox. */
async function onVolume(task: TaskId, script: string): Promise<string> {
  const { sandbox } = await open.services.tasks.view(task);
  const options = [
    '--rm',
    '-i',
    '--network',
    'none',
    '--user',
    '0:0',
    '--label',
    `io.opencode-tools.home=${open.homeId}`,
  ];
  const mount = ['-v', `${sandbox?.workspaceVolume}:/w`, 'opencode-sandbox-base:latest'];
  return bash(['docker', 'run', ...options, ...mount, 'bash', '-s', '/w'], script);
}

/** A repository with a commit, and more done to it since. */
async function dirtyRepository(random: () => number): Promise<string> {
  const path = join(directory, 'repository');
  const git = 'git -c user.name=t -c user.email=t@example.org -c core.hooksPath=/dev/null';
  const edits = async (names: readonly string[]) => bash(['bash', '-s', path], editsOf(names, 20, random));
  await bash(['bash'], `mkdir ${path} && cd ${path} && git init -q && echo 1 >tracked`);
  await edits([]);
  await bash(
    ['bash'],
    `cd ${path} && { ${git} add -A; ${git} commit -qm base; } >/dev/null 2>&1; echo 2 >>tracked; echo new >untracked`,
  );
  const names = (await bash(['bash', '-s', path], listScript)).split('\0').filter((name) => !name.startsWith('.git'));
  await edits(names);
  return path;
}

test(`a deleted task comes back byte for byte, with root, home directory and journal (seed ${seed})`, async () => {
  const { tasks, journal, ledger, checkpoints } = open.services;
  const random = randomFrom(seed);
  const source = await dirtyRepository(random);
  const input = { title: 'lost', image: home.image, workspace: { kind: 'directory', path: source } } as const;
  const lost = await tasks.create(input, call);
  await sh(lost.id, 'echo tool >/opt/tool; echo mine >/home/agent/mine', '/');
  await checkpoints.create(lost.id, { name: 'early' }, call);
  const names = (await onVolume(lost.id, listScript)).split('\0');
  await onVolume(lost.id, editsOf(names, 30, random));
  const decision = await journal.decide(lost.id, { what: 'Use a queue', why: 'Fair', alternatives: ['A lock'] }, call);
  const todo = await journal.addTodo(lost.id, { text: 'Write it', major: true }, call);
  await journal.setTodo(lost.id, todo.id, { state: 'active' }, call);
  await journal.addNote(lost.id, { text: 'Look here' }, call);
  const before = await onVolume(lost.id, describeScript);
  const { receipt } = await tasks.delete(lost.id, {}, call);
  const head = await ledger.head(lost.id);

  expect(await tasks.recoverable()).toMatchObject([
    { receipt, checkpoints: [{ name: 'final' }, { name: 'early' }], recoveredAs: [] },
  ]);
  const keyed = { ...call, idempotencyKey: 'recover-it' };
  const recovered = await tasks.recover(lost.id, {}, keyed);
  expect(recovered).toMatchObject({
    task: { title: 'lost', forkedFrom: { taskId: lost.id, checkpointId: receipt.finalCheckpointId } },
    checkpoint: { id: receipt.finalCheckpointId },
    passedOver: [],
    rootLost: false,
    decisions: 1,
    todos: 1,
    notes: 1,
  });
  expect(await tasks.recover(lost.id, {}, keyed)).toEqual(recovered);
  const back = recovered.task.id;
  expect(await sh(back, 'cat /opt/tool /home/agent/mine', '/')).toBe('tool\nmine\n');
  expect((await onVolume(back, describeScript)).split('^@')).toEqual(before.split('^@'));
  const { what, why, alternatives, createdAt } = decision;
  expect(await journal.decisions(back)).toMatchObject([{ what, why, alternatives, createdAt, agent: 'tester' }]);
  expect(await journal.todos(back)).toMatchObject([{ text: 'Write it', state: 'active', major: true }]);
  expect(await journal.notes(back)).toMatchObject([{ text: 'Look here' }]);

  expect(await tasks.recoverable()).toMatchObject([{ recoveredAs: [back] }]);
  expect(await ledger.head(lost.id)).toEqual(head);
  expect((await ledger.verify()).broken).toEqual([]);
  await tasks.delete(back, {}, call);
}, 600_000);

test('a task comes back without what was installed when the image of its root is gone', async () => {
  const { tasks, checkpoints } = open.services;
  const { id } = await tasks.create({ title: 'without image', image: home.image }, call);
  await sh(id, 'echo work >file; echo tool >/opt/tool');
  await checkpoints.create(id, { name: 'point' }, call);
  const { receipt } = await tasks.delete(id, {}, call);
  for (const image of receipt.keptImages) await home.docker('rmi', '-f', '--no-prune', image);
  const { task, rootLost } = await tasks.recover(id, {}, call);
  expect(rootLost).toBe(true);
  expect(await sh(task.id, 'cat file; ls /opt')).toBe('work\n');
  await tasks.delete(task.id, {}, call);
}, 60_000);
