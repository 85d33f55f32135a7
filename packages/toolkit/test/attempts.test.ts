import { chownSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

test('keeping an attempt that could not archive the others is finished by asking again', async () => {
  const { services } = home.open;
  const project = join(base, 'project');
  mkdirSync(project);
  if (process.getuid?.() === 0) chownSync(project, 4_321, 5_432);
  writeFileSync(join(project, 'file'), 'words');
  const task = await home.create({ title: 'try', workspace: { kind: 'bind', path: project } });
  const [first, second] = await services.attempts.start(task.id, { count: 2 }, call);
  if (first === undefined || second === undefined) throw new Error('No attempts were made');
  const { session } = await services.sessions.attach(second.id, { agent: 'bob' }, callBy('bob'));
  await expect(services.attempts.keep(task.id, first.id, {}, call)).rejects.toMatchObject({ code: 'OCT_LEASE_HELD' });
  await services.sessions.detach(session.id, {}, callBy('bob'));
  const kept = await services.attempts.keep(task.id, first.id, {}, call);
  expect(kept).toMatchObject({ kept: { id: first.id }, archived: [{ task: { id: second.id } }] });
  expect((await services.checkpoints.list(task.id)).filter(({ name }) => name.startsWith('kept: '))).toHaveLength(1);
  expect(await services.attempts.list(task.id)).toEqual([]);
});
