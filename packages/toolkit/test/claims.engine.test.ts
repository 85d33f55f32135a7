import type { Call, ExecutionResult, SessionId, TaskId } from '@opencode-tools/core';
import { describe, expect, it } from 'vitest';
import { useTestHome } from './support/test-home.ts';

const callBy = (agent: string): Call => ({
  actor: { kind: 'agent', id: agent, agent, model: null, session: null, onBehalfOf: null },
});

describe('claims on a real engine', () => {
  const bed = useTestHome();

  const run = (task: TaskId, sessionId: SessionId, script: string): Promise<ExecutionResult> =>
    bed.open.services.executions.run(task, { command: { kind: 'script', script }, sessionId }, callBy('tester'));

  it('what a command changes outside them is told, recorded and pinned on who did it', async () => {
    const { sessions, tasks, ledger } = bed.open.services;
    const input = { title: 'claimed', image: bed.home.image, leaseMode: 'collaborative', maxAgents: 4 } as const;
    const task = await tasks.create(input, callBy('ada'));
    const ada = await sessions.attach(task.id, { agent: 'ada' }, callBy('ada'));
    expect((await run(task.id, ada.session.id, 'mkdir src lib')).outsideClaims).toBeUndefined();
    await sessions.claim(ada.session.id, { write: ['src/**'] }, callBy('ada'));

    const inside = await run(task.id, ada.session.id, 'echo 1 > src/a');
    expect(inside.outsideClaims).toMatchObject({ checked: true, paths: [], total: 0 });

    const outside = await run(task.id, ada.session.id, 'echo 1 > lib/b; echo 2 > src/a; exit 3');
    expect(outside.execution.exitCode).toBe(3);
    expect(outside.outsideClaims).toMatchObject({ checked: true, paths: ['lib/b'], total: 1, uncertain: false });

    const bob = await sessions.attach(task.id, { agent: 'bob' }, callBy('bob'));
    const intruding = await run(task.id, bob.session.id, 'rm src/a; echo 3 > free');
    expect(intruding.outsideClaims).toMatchObject({ paths: ['src/a'], total: 1 });

    const records = await ledger.history(task.id, { types: ['claim.violated'], newestFirst: false });
    expect(records.map(({ payload }) => (JSON.parse(payload ?? '') as { detail: unknown }).detail)).toMatchObject([
      { paths: ['lib/b'], sessionId: ada.session.id, executionId: outside.execution.id },
      { paths: ['src/a'], sessionId: bob.session.id },
    ]);
  });

  it('a change by a command of another session that runs at the same time is that one’s', async () => {
    const { sessions, tasks } = bed.open.services;
    const input = { title: 'alongside', image: bed.home.image, leaseMode: 'collaborative', maxAgents: 4 } as const;
    const task = await tasks.create(input, callBy('ada'));
    const ada = await sessions.attach(task.id, { agent: 'ada', claims: { write: ['a/**'] } }, callBy('ada'));
    const bob = await sessions.attach(task.id, { agent: 'bob', claims: { write: ['b/**'] } }, callBy('bob'));
    const wait = (file: string): string => `while [ ! -e ${file} ]; do sleep 0.05; done`;
    const [mine, theirs] = await Promise.all([
      run(task.id, ada.session.id, `mkdir -p a; touch a/up; ${wait('b/done')}`),
      run(task.id, bob.session.id, `${wait('a/up')}; mkdir -p b; touch b/file b/done`),
    ]);
    expect([mine.outsideClaims?.paths, theirs.outsideClaims?.paths]).toEqual([[], []]);
  });
});
