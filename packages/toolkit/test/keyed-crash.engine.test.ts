import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { tester as call, useTestHome } from './support/test-home.ts';

const child = fileURLToPath(new URL('support/keyed-child.ts', import.meta.url));
const bed = useTestHome();

test('a command whose process was killed is not run again under its key: the call gets what is known of it', async () => {
  const { executions, sessions, tasks } = bed.open.services;
  const { id } = await tasks.create({ title: 'keyed', image: bed.home.image }, call);
  const { session } = await sessions.attach(id, { agent: 'ada' }, call);
  const script = 'echo x >>cnt; echo begun; sleep 60';
  const argv = ['--conditions=@opencode-tools/source', child, bed.home.directory, id, session.id, 'kk', script];
  expect(spawnSync(process.execPath, argv, { encoding: 'utf8' })).toMatchObject({ signal: 'SIGKILL', stderr: '' });

  const options = { command: { kind: 'script', script }, sessionId: session.id } as const;
  const again = () => executions.run(id, options, { ...call, idempotencyKey: 'kk' });
  const told = await again();
  expect(told).toMatchObject({
    execution: { state: 'interrupted', reason: 'owner-died', exitCode: null },
    stdout: { text: 'begun\n' },
    replayed: true,
  });
  expect(await again()).toEqual(told);
  const count = { command: { kind: 'argv', argv: ['cat', 'cnt'] }, sessionId: session.id } as const;
  expect((await executions.run(id, count, call)).stdout.text).toBe('x\n');
  await tasks.delete(id, { force: true }, call);
}, 120_000);

test('who finds a task held by a command whose process was killed is told so, and when and how it is free', async () => {
  const { executions, sessions, tasks } = bed.open.services;
  const { id } = await tasks.create({ title: 'held', image: bed.home.image }, call);
  const argv = [
    '--conditions=@opencode-tools/source',
    child,
    bed.home.directory,
    id,
    '',
    'held',
    'echo begun; sleep 60',
  ];
  const killed = spawnSync(process.execPath, argv, { encoding: 'utf8' });
  expect(killed).toMatchObject({ signal: 'SIGKILL', stderr: '' });
  const told = {
    code: 'OCT_LEASE_HELD',
    message: expect.stringContaining(`its process ${killed.pid} is dead`) as string,
    remedy: expect.stringMatching(/^Call again after 20\S+Z, .* --takeover/) as string,
  };
  await expect(executions.run(id, { command: { kind: 'argv', argv: ['true'] } }, call)).rejects.toMatchObject(told);
  await expect(sessions.attach(id, { agent: 'ada' }, call)).rejects.toMatchObject(told);
  const { recovered } = await sessions.attach(id, { agent: 'ada', takeover: true }, call);
  expect(recovered).toMatchObject([{ kind: 'execution', resolution: 'interrupted' }]);
  await tasks.delete(id, { force: true }, call);
}, 120_000);
