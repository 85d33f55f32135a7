import { afterAll, beforeAll, expect, it } from 'vitest';
import { type TestHome, createTestHome, tester as call } from './support/test-home.ts';

let home: TestHome;
beforeAll(async () => {
  home = await createTestHome();
});
afterAll(async () => home.remove());

it('a stop beside commands of its session ends them, says so, and is not undone by them', async () => {
  const open = await home.open();
  const { tasks, sessions, executions } = open.services;
  for (let round = 1; round <= 3; round += 1) {
    const task = await tasks.create({ title: `round ${round}`, image: home.image }, call);
    const { session } = await sessions.attach(task.id, { agent: 'a' }, call);
    const sessionId = session.id;
    const command = { kind: 'script', script: 'sleep 991' } as const;
    await executions.run(task.id, { command: { kind: 'script', script: 'true' }, sessionId }, call);
    const commands = Array.from({ length: 3 * round }, () => executions.run(task.id, { command, sessionId }, call));
    const ends = Promise.allSettled(commands);
    await tasks.stop(task.id, { sessionId, graceMs: 0 }, call);
    for (const end of await ends) {
      if (end.status === 'fulfilled') expect(end.value.execution).toMatchObject({ reason: 'sandbox-gone' });
      else expect(['OCT_SANDBOX_NOT_FOUND', 'OCT_LEASE_LOST', 'OCT_INVALID_TRANSITION']).toContain(end.reason.code);
    }
    const view = await tasks.view(task.id);
    expect(view).toMatchObject({ task: { status: 'suspended' }, live: { state: 'stopped' }, runningExecutions: [] });
  }
  await open.close();
});
