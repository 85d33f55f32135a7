import { chownSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Task } from '@opencode-tools/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EnginelessHome, callBy, createEnginelessHome } from './support/home-without-engine.ts';

const call = callBy('ada');
let home: EnginelessHome;
let base: string;

beforeEach(async () => {
  home = await createEnginelessHome();
  base = realpathSync(mkdtempSync(join(tmpdir(), 'oct-attempts-')));
});
afterEach(async () => {
  await home.remove();
  rmSync(base, { recursive: true, force: true });
});

function createTask(): Promise<Task> {
  const project = join(base, 'project');
  mkdirSync(project);
  if (process.getuid?.() === 0) chownSync(project, 4_321, 5_432);
  writeFileSync(join(project, 'file'), 'words');
  return home.create({ title: 'try', workspace: { kind: 'bind', path: project } });
}

test('keeping an attempt decides nothing while an agent holds another, and does so when asked again', async () => {
  const { services } = home.open;
  const task = await createTask();
  const [first, second, third] = await services.attempts.start(task.id, { count: 3 }, call);
  if (first === undefined || second === undefined || third === undefined) throw new Error('No attempts were made');
  const { session } = await services.sessions.attach(second.id, { agent: 'bob' }, callBy('bob'));
  for (const dryRun of [true, false]) {
    await expect(services.attempts.keep(task.id, first.id, { dryRun }, call)).rejects.toMatchObject({
      code: 'OCT_LEASE_HELD',
      message: expect.stringMatching(new RegExp(`${second.id}.*bob`, 'u')),
      remedy: expect.stringContaining('again'),
      details: { taskId: second.id, sessions: [session.id] },
    });
  }
  expect((await services.checkpoints.list(task.id)).filter(({ name }) => name.startsWith('kept: '))).toEqual([]);
  expect(await services.attempts.keep(task.id, second.id, { dryRun: true }, call)).toMatchObject({
    kept: { id: second.id },
  });
  await services.sessions.detach(session.id, {}, callBy('bob'));
  const kept = await services.attempts.keep(task.id, first.id, {}, call);
  expect(kept).toMatchObject({
    kept: { id: first.id },
    archived: [{ task: { id: second.id } }, { task: { id: third.id } }],
  });
  expect((await services.checkpoints.list(task.id)).filter(({ name }) => name.startsWith('kept: '))).toHaveLength(1);
  expect(await services.attempts.list(task.id)).toEqual([]);
});

test('a title that several attempts have is refused with the ids of those', async () => {
  const { attempts } = home.open.services;
  const task = await createTask();
  const [one] = await attempts.start(task.id, { count: 2, title: 'Z' }, call);
  const [other] = await attempts.start(task.id, { count: 1, title: 'Z' }, call);
  await expect(attempts.keep(task.id, 'Z #1', { dryRun: true }, call)).rejects.toMatchObject({
    code: 'OCT_INVALID_ARGUMENT',
    remedy: `Name one by its id: ${one?.id ?? ''}, ${other?.id ?? ''}.`,
  });
});

test('the key of a start gives the same attempts again, and is refused for another start', async () => {
  const { attempts } = home.open.services;
  const task = await createTask();
  const keyed = { ...call, idempotencyKey: 'tries' };
  const made = await attempts.start(task.id, { count: 2 }, keyed);
  expect(await attempts.start(task.id, { count: 2 }, keyed)).toEqual(made);
  for (const other of [{ count: 3 }, { count: 1 }, { count: 2, title: 'Z' }]) {
    await expect(attempts.start(task.id, other, keyed)).rejects.toMatchObject({ code: 'OCT_IDEMPOTENCY_MISMATCH' });
  }
  expect(await attempts.list(task.id)).toEqual(made);
});
