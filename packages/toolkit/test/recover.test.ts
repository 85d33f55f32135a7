import {
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Services, Task } from '@opencode-tools/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EnginelessHome, callBy, createEnginelessHome } from './support/home-without-engine.ts';

const call = callBy('ada');
let home: EnginelessHome;
let services: Services;
let base: string;
let project: string;
let task: Task;

beforeEach(async () => {
  home = await createEnginelessHome();
  ({ services } = home.open);
  base = realpathSync(mkdtempSync(join(tmpdir(), 'oct-recover-')));
  project = join(base, 'project');
  mkdirSync(project);
  if (process.getuid?.() === 0) chownSync(project, 4_321, 5_432);
  task = await home.create({ title: 'hurt', workspace: { kind: 'bind', path: project } });
});
afterEach(async () => {
  await home.remove();
  rmSync(base, { recursive: true, force: true });
});

async function save(name: string, content: string) {
  writeFileSync(join(project, 'file'), content);
  return services.checkpoints.create(task.id, { name }, call);
}

/** Changes a byte of a file's content wherever the store has it. */
function damage(content: string): void {
  const packs = join(home.open.directory, 'content', 'packs');
  for (const name of readdirSync(packs)) {
    const bytes = readFileSync(join(packs, name));
    const at = bytes.indexOf(content);
    if (at === -1) continue;
    bytes[at] = 0;
    writeFileSync(join(packs, name), bytes);
  }
}

test('a living task is recovered from its newest sound checkpoint, and told which were passed over', async () => {
  const sound = await save('sound', 'words that stay as they are');
  const hurt = await save('hurt', 'words of which one is lost');
  await services.journal.addTodo(task.id, { text: 'go on' }, call);
  damage('words of which one is lost');
  const version = (await services.tasks.get(task.id)).version;
  const recovered = await services.tasks.recover(task.id, {}, call);
  expect(recovered).toMatchObject({
    task: { title: 'hurt (recovered)', status: 'pending', forkedFrom: { taskId: task.id, checkpointId: sound.id } },
    checkpoint: { id: sound.id },
    passedOver: [{ checkpointId: hurt.id, damage: [expect.stringContaining('file')] }],
    todos: 1,
  });
  const [own] = await services.checkpoints.list(recovered.task.id);
  expect(own?.workspace?.digest).toBe(sound.workspace?.digest);
  expect(await services.tasks.get(task.id)).toMatchObject({ version, status: task.status });
  await expect(services.tasks.recover(task.id, { checkpoint: 'hurt' }, call)).rejects.toMatchObject({
    code: 'OCT_CHECKPOINT_CORRUPT',
  });
  expect(await services.tasks.recoverable()).toEqual([]);
});

test('a fork that was made of a task before it was deleted is not what the task was recovered as', async () => {
  await save('kept', 'words');
  const fork = await services.tasks.fork(task.id, { title: 'another way' }, call);
  await services.tasks.delete(task.id, {}, call);
  expect(await services.tasks.recoverable()).toMatchObject([{ receipt: { taskId: task.id }, recoveredAs: [] }]);
  const back = await services.tasks.recover(task.id, {}, call);
  expect(await services.tasks.recoverable()).toMatchObject([{ recoveredAs: [back.task.id] }]);
  expect((await services.tasks.list({})).items.map(({ id }) => id)).toContain(fork.id);
});

test('a deleted task of another home, taken in from a folder, is not among those that can be recovered', async () => {
  await save('kept', 'words');
  await services.tasks.delete(task.id, {}, call);
  await home.open.store.exportMemory(task.id, base);
  expect(await services.tasks.recoverable()).toMatchObject([{ receipt: { taskId: task.id } }]);
  const other = await createEnginelessHome();
  await other.open.store.importMemory(base);
  expect(await other.open.services.checkpoints.list(task.id)).toHaveLength(1);
  expect(await other.open.services.tasks.recoverable()).toEqual([]);
  await expect(other.open.services.checkpoints.delete(task.id, 'kept', {}, call)).rejects.toMatchObject({
    code: 'OCT_TASK_ON_OTHER_HOST',
  });
  await other.remove();
});

test('a task of which nothing sound is left is not recovered, and no task is made', async () => {
  await expect(services.tasks.recover(task.id, {}, call)).rejects.toMatchObject({
    code: 'OCT_CHECKPOINT_NOT_FOUND',
    remedy: expect.stringContaining('recover --list'),
  });
  await save('hurt', 'words of which one is lost');
  damage('words of which one is lost');
  await expect(services.tasks.recover(task.id, {}, call)).rejects.toMatchObject({ code: 'OCT_CHECKPOINT_CORRUPT' });
  await expect(services.tasks.recover('tsk_0000000000000000000000000a', {}, call)).rejects.toMatchObject({
    code: 'OCT_TASK_NOT_FOUND',
  });
  expect((await services.tasks.list({})).items).toHaveLength(1);
});
