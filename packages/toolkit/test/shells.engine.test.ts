import { setTimeout as delay } from 'node:timers/promises';
import type {
  Call,
  ExecutionResult,
  OpenHome,
  RunCommand,
  SandboxHandle,
  SessionId,
  TaskId,
} from '@opencode-tools/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestHome, createTestHome } from './support/test-home.ts';
import { withMembers } from './support/with-members.ts';

const call: Call = {
  actor: { kind: 'agent', id: 'test', agent: 'test', model: null, session: null, onBehalfOf: null },
};

describe('a shell of a session', () => {
  let home: TestHome;
  let open: OpenHome;
  let other: OpenHome;
  beforeAll(async () => {
    home = await createTestHome();
    [open, other] = [await home.open(), await home.open()];
  });
  afterAll(async () => {
    await open.close();
    await other.close();
    await home.remove();
  });

  const attach = async (taskId: TaskId): Promise<SessionId> =>
    (await open.services.sessions.attach(taskId, { agent: 'test', takeover: true }, call)).session.id;
  const attached = async (title: string): Promise<{ taskId: TaskId; sessionId: SessionId }> => {
    const { id: taskId } = await open.services.tasks.create({ title, image: home.image }, call);
    return { taskId, sessionId: await attach(taskId) };
  };
  const run = async (
    { taskId, sessionId }: { taskId: TaskId; sessionId: SessionId },
    script: string,
    more: Partial<RunCommand> = {},
    through = open,
  ): Promise<ExecutionResult> => {
    const options = { command: { kind: 'script', script }, sessionId, shell: 'work', ...more } as const;
    return through.services.executions.run(taskId, options, call);
  };

  it('keeps what commands of any process do in it, each an execution of its own', async () => {
    const at = await attached('kept');
    await run(at, 'mkdir -p deep/er; cd deep; X=1; double() { echo $(($1 * 2)); }');
    const second = await run(at, 'pwd; double 21; echo "$X$Y" >&2; false', { env: { Y: "it's" } }, other);
    expect(second).toMatchObject({ execution: { shell: 'work', exitCode: 1, reason: 'exited' } });
    expect([second.stdout.text, second.stderr.text]).toEqual(['/workspace/deep\n42\n', "1it's\n"]);
    expect((await run(at, 'pwd; echo $Y', { cwd: '/tmp' })).stdout.text).toBe("/tmp\nit's\n");
    expect((await run(at, 'pwd; echo "$X"', { shell: 'second' })).stdout.text).toBe('/workspace\n\n');
    const both = await Promise.all([
      run(at, 'echo a', { shell: 'third' }),
      run(at, 'echo b', { shell: 'third' }, other),
    ]);
    expect(both.map(({ stdout }) => stdout.text)).toEqual(['a\n', 'b\n']);
    const listed = await other.services.executions.listShells(at.taskId);
    expect(listed.map(({ shell }) => shell)).toEqual(['work', 'second', 'third']);
    expect((await open.services.ledger.verify()).ok).toBe(true);
  });

  it('that another has only asked for is waited for, and not taken for gone', async () => {
    const at = await attached('beginning');
    await run(at, 'true', { shell: 'first' });
    const asked = Promise.withResolvers<void>();
    const slow = await home.open({
      decorate: (ports) => {
        const find = async (ref: string): Promise<SandboxHandle | undefined> => {
          const handle = await ports.runtime.find(ref);
          const openShell: SandboxHandle['background']['openShell'] = async (request) => {
            asked.resolve();
            await delay(1_500);
            await handle?.background.openShell(request);
          };
          return handle && withMembers(handle, { background: withMembers(handle.background, { openShell }) });
        };
        return { ...ports, runtime: withMembers(ports.runtime, { find }) };
      },
    });
    const first = run(at, 'echo a; X=1', {}, slow);
    await asked.promise;
    const second = run(at, 'echo "b$X"');
    expect((await Promise.all([first, second])).map(({ stdout }) => stdout.text[0])).toEqual(['a', 'b']);
    expect((await open.services.executions.listShells(at.taskId)).map(({ shell }) => shell)).toEqual(['first', 'work']);
    await slow.close();
  });

  it('that has ended says so until another is asked for; one that was left in order needs no asking', async () => {
    const at = await attached('ended');
    const last = await run(at, 'X=1; exit 4');
    expect(last).toMatchObject({
      execution: { exitCode: 4 },
      notices: ['The shell work has ended: exit 4, with this command'],
    });
    const gone = { code: 'OCT_SHELL_ENDED', message: 'The shell work has ended: exit 4' };
    await expect(run(at, 'true')).rejects.toMatchObject(gone);
    await expect(run(at, 'true', {}, other)).rejects.toMatchObject(gone);
    expect((await run(at, 'echo "$X."', { newShell: true })).stdout.text).toBe('.\n');
    await run(at, 'X=2; exit');
    expect((await run(at, 'echo "$X."')).stdout.text).toBe('.\n');
    await run(at, 'trap "echo bye >bye" EXIT');
    const closed = await other.services.executions.closeShell(at.taskId, 'work', { sessionId: at.sessionId }, call);
    expect(closed).toMatchObject({ state: 'exited', exitCode: 0 });
    expect((await run(at, 'cat bye')).stdout.text).toBe('bye\n');
    await open.services.sandboxes.restart(at.taskId, { sessionId: at.sessionId }, call);
    await expect(run(at, 'true')).rejects.toMatchObject({ code: 'OCT_SHELL_ENDED' });
  });

  it('outlives a command that is given up, and ends with its session', async () => {
    const at = await attached('given up');
    await run(at, 'X=kept');
    const late = await run(at, 'sleep 600; echo no', { timeoutMs: 500 });
    expect(late.execution).toMatchObject({ reason: 'timeout', state: 'interrupted' });
    expect((await run(at, 'echo $X')).stdout.text).toBe('kept\n');
    const { sessionId } = { sessionId: await attach(at.taskId) };
    expect((await run({ ...at, sessionId }, 'echo "$X."')).stdout.text).toBe('.\n');
    expect(await open.services.executions.listShells(at.taskId)).toHaveLength(1);
    await expect(run(at, 'true')).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
  });

  it('is asked for under a session, by a name, without input', async () => {
    const at = await attached('asked');
    const refused = { code: 'OCT_INVALID_ARGUMENT' };
    await expect(run(at, 'true', { shell: 'not a name' })).rejects.toMatchObject(refused);
    await expect(run(at, 'true', { stdin: Buffer.from('x') })).rejects.toMatchObject(refused);
    const command = { kind: 'script', script: 'true' } as const;
    const { executions } = open.services;
    await expect(executions.run(at.taskId, { command, shell: 'work' }, call)).rejects.toMatchObject(refused);
    await expect(executions.run(at.taskId, { command, newShell: true }, call)).rejects.toMatchObject(refused);
    await expect(executions.closeShell(at.taskId, 'none', { sessionId: at.sessionId }, call)).rejects.toMatchObject({
      code: 'OCT_SHELL_ENDED',
    });
  });
});
