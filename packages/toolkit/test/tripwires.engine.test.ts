import { chownSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionResult, OpenHome, SessionId, TaskId } from '@opencode-tools/core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type TestHome, createTestHome, tester as call } from './support/test-home.ts';

const image = 'opencode-sandbox-base';

describe('tripwires in a directory of the host', () => {
  let home: TestHome;
  let open: OpenHome;
  let project: string;
  let task: TaskId;
  let sessionId: SessionId;
  beforeAll(async () => {
    home = await createTestHome();
    open = await home.open();
    await open.images.build(image);
  });
  afterAll(async () => {
    await open.close();
    await home.remove();
  });
  beforeEach(async () => {
    project = realpathSync(mkdtempSync(join(tmpdir(), 'oct-tripwires-')));
    mkdirSync(join(project, 'src'));
    const manifest = { name: 'x', version: '1.0.0', scripts: { test: 'vitest' } };
    writeFileSync(join(project, 'package.json'), JSON.stringify(manifest));
    writeFileSync(join(project, 'Makefile'), 'all:\n');
    if (process.getuid?.() === 0)
      for (const path of ['.', 'src', 'package.json', 'Makefile']) chownSync(join(project, path), 4_321, 5_432);
    const workspace = { kind: 'bind', path: project } as const;
    task = (await open.services.tasks.create({ title: 'bound', image, workspace }, call)).id;
    sessionId = (await open.services.sessions.attach(task, { agent: 'tester' }, call)).session.id;
    return async () => {
      await open.services.tasks.delete(task, { sessionId }, call);
      rmSync(project, { recursive: true, force: true });
    };
  });

  const run = (script: string): Promise<ExecutionResult> =>
    open.services.executions.run(task, { command: { kind: 'script', script }, sessionId }, call);
  const tripped = async () => {
    const records = await open.services.ledger.history(task, { types: ['work.tripped'], newestFirst: false });
    return records.map(({ payload }) => (JSON.parse(payload ?? '') as { detail: unknown }).detail);
  };

  test('are told in the result of the command that changed them, and recorded', async () => {
    const benign = await run('echo 1 >src/a.ts; sed -i s/1.0.0/1.0.1/ package.json; ln -s a.ts src/link');
    expect(benign.execution).not.toHaveProperty('tripwires');

    const { execution } = await run('sed -i s/vitest/evil/ package.json; echo >.mcp.json; ln -s /etc out; exit 3');
    expect(execution).toMatchObject({
      exitCode: 3,
      tripwires: {
        checked: true,
        total: 3,
        found: [
          { rule: 'agent', path: '.mcp.json' },
          { rule: 'link', path: 'out' },
          { rule: 'package-script', path: 'package.json' },
        ],
      },
    });
    expect(await open.services.executions.get(execution.id)).toEqual(execution);
    expect((await run('cat package.json')).execution).not.toHaveProperty('tripwires');
    expect(await tripped()).toMatchObject([
      {
        executionId: execution.id,
        sessionId,
        total: 3,
        tripwires: [{ rule: 'agent', path: '.mcp.json' }, { rule: 'link' }, { rule: 'package-script' }],
      },
    ]);
  });

  test('of a command in the background are told at its end, whichever process finds it', async () => {
    const command = { kind: 'script', script: 'read line; echo x >>Makefile' } as const;
    const { id } = await open.services.executions.start(task, { command, sessionId, openInput: true }, call);
    expect((await run('echo 1 >src/b.ts')).execution).not.toHaveProperty('tripwires');
    const other = await home.open();
    try {
      await other.services.executions.writeInput(id, { sessionId, bytes: Buffer.from('go\n') }, call);
      const ended = await other.services.executions.wait(id, { timeoutMs: 20_000 }, call);
      expect(ended).toMatchObject({ state: 'exited', tripwires: { total: 1, found: [{ path: 'Makefile' }] } });
    } finally {
      await other.close();
    }
    expect(await tripped()).toMatchObject([{ executionId: id, tripwires: [{ rule: 'build', path: 'Makefile' }] }]);
  });

  test('a shell tells at its end what it was open for, and each command its own', async () => {
    const inShell = { command: { kind: 'script', script: 'echo x >>Makefile' }, sessionId, shell: 'main' } as const;
    const first = await open.services.executions.run(task, inShell, call);
    expect(first.execution.tripwires?.found).toMatchObject([{ path: 'Makefile' }]);
    const shell = await open.services.executions.closeShell(task, 'main', { sessionId }, call);
    expect(shell.tripwires?.found).toMatchObject([{ path: 'Makefile' }]);
  });
});
