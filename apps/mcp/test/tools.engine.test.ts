import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openTestEngine } from '@opencode-tools/testkit';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { connect, deleteAtTheEnd, engineObjects, eras, repository, temporaryHome, until } from './support.ts';

let engine: Awaited<ReturnType<typeof openTestEngine>>;
let image: string;

beforeAll(async () => {
  engine = await openTestEngine();
  image = engine.imageId;
});
afterAll(() => engine.close());

async function work(home: string, title = 'Add a login page') {
  const server = await connect(home);
  const { data } = await server.call('create_task_sandbox', { title, agent: 'build', model: 'm-1', image });
  const handles = { task_id: String(data['task_id']), session_id: String(data['session_id']) };
  deleteAtTheEnd(home, handles.task_id);
  const execute = (command: string, more: Record<string, unknown> = {}, options = {}) =>
    server.call('execute_in_task', { ...handles, command, ...more }, options);
  return { ...server, handles, execute };
}

describe('tools on a real engine', () => {
  let home: string;

  beforeEach(async () => {
    home = await temporaryHome();
  });

  test('a command runs in the workspace, and its failure is a result', async () => {
    const { execute, handles } = await work(home);
    const result = await execute('pwd; echo hello > greeting; cat greeting; echo oops >&2; exit 4');
    expect(result).toMatchObject({
      isError: false,
      data: { exit_code: 4, reason: 'exited', stdout: '/workspace\nhello\n', stderr: 'oops\n', truncated: false },
    });
    expect(result.text).toMatch(/^exit 4 after .*\n--- stdout\n\/workspace\nhello\n--- stderr\noops$/);
    const argv = await execute('', { command: undefined, argv: ['echo', '$HOME'], env: { A: 'b' }, stdin: 'x' });
    expect(argv.data['stdout']).toBe('$HOME\n');
    expect((await engineObjects(handles.task_id)).length).toBeGreaterThan(0);
  });

  test('commands of a shell keep its directory and variables; one that has ended says so until it is begun anew', async () => {
    const { execute } = await work(home);
    const shell = 'main';
    await execute('mkdir deep; cd deep; X=1', { shell });
    expect((await execute('pwd; echo $X', { shell })).data['stdout']).toBe('/workspace/deep\n1\n');
    expect((await execute('exit 3', { shell })).text).toContain('The shell main has ended: exit 3, with this command');
    const refused = await execute('pwd', { shell });
    expect(refused).toMatchObject({ isError: true });
    expect(refused.text).toContain('new_shell');
    expect((await execute('pwd', { shell, new_shell: true })).data['stdout']).toBe('/workspace\n');
  });

  test.each(Object.keys(eras) as (keyof typeof eras)[])('a task goes from hand to hand over %s', async (era) => {
    const first = await work(home);
    await first.execute('echo kept > file');
    const decision = { what: 'Use a cookie', why: 'It survives a reload' };
    await first.call('record_decision', { ...first.handles, ...decision });
    await first.call('detach_agent_from_task', { session_id: first.handles.session_id });
    await first.client.close();

    const second = await connect(home, era);
    const attached = await second.call('attach_agent_to_task', {
      task_id: first.handles.task_id.slice(-8),
      agent: 'review',
    });
    expect(attached.data).toMatchObject({
      title: 'Add a login page',
      decisions: ['Use a cookie (It survives a reload)'],
    });
    const session = { task_id: first.handles.task_id, session_id: attached.data['session_id'] };
    const read = await second.call('execute_in_task', { ...session, command: 'cat file' });
    expect(read.data['stdout']).toBe('kept\n');
    const late = await second.call('execute_in_task', { ...first.handles, command: 'echo late > file' });
    expect(late).toMatchObject({ isError: true, data: { code: 'OCT_LEASE_LOST' } });
    expect((await second.call('execute_in_task', { ...session, command: 'cat file' })).data['stdout']).toBe('kept\n');
  });

  test('after a server was killed in the middle of a command, the next one says so and ends what it left', async () => {
    const first = await work(home);
    void first.execute('touch started; sleep 1000').catch(() => undefined);
    const second = await connect(home);
    const status = () => second.call('get_task_status', { task_id: first.handles.task_id });
    await until(async () => ((await status()).data['running'] as readonly unknown[]).length > 0);
    expect(JSON.stringify(await status())).not.toContain(first.handles.session_id);
    const refused = await second.call('attach_agent_to_task', { task_id: first.handles.task_id, agent: 'second' });
    expect(refused).toMatchObject({ isError: true, data: { code: 'OCT_LEASE_HELD', details: { holder: 'build' } } });
    expect(refused.text).toContain('takeover: true');
    process.kill(first.transport.pid ?? 0, 'SIGKILL');

    const attached = await second.call('attach_agent_to_task', {
      task_id: first.handles.task_id,
      agent: 'second',
      takeover: true,
    });
    expect(attached.data).toMatchObject({ displaced: ['build'] });
    expect(attached.data['recovered']).toEqual([expect.stringContaining('execution interrupted')]);
    const session = { task_id: first.handles.task_id, session_id: attached.data['session_id'] };
    const left = await second.call('execute_in_task', { ...session, command: 'ls; ps | grep -c "[s]leep 1000"' });
    expect(left.data['stdout']).toBe('started\n0\n');
    expect((await status()).data['running']).toEqual([]);
  });

  test('a cancelled call ends its command in the sandbox', async () => {
    const { execute, call, handles } = await work(home);
    const controller = new AbortController();
    const cancelled = execute('sleep 1234', {}, { signal: controller.signal });
    const running = async () =>
      (await call('get_task_status', handles.task_id ? { task_id: handles.task_id } : {})).data['running'];
    await until(async () => ((await running()) as readonly unknown[]).length > 0);
    controller.abort();
    await expect(cancelled).rejects.toThrow(/abort/i);
    await until(async () => ((await running()) as readonly unknown[]).length === 0);
    expect((await execute('ps | grep -c "[s]leep 1234"')).data['stdout']).toBe('0\n');
  });

  test('when the client goes away in the middle of a command, the command ends and the session stays', async () => {
    const first = await work(home);
    void first.execute('sleep 1000').catch(() => undefined);
    const second = await connect(home);
    const running = async () => {
      const { data } = await second.call('get_task_status', { task_id: first.handles.task_id });
      return (data['running'] as readonly unknown[]).length;
    };
    await until(async () => (await running()) === 1);
    await first.client.close();
    expect(await running()).toBe(0);
    const next = await second.call('execute_in_task', { ...first.handles, command: 'ps | grep -c "[s]leep 1000"' });
    expect(next.data['stdout']).toBe('0\n');
  });

  test('a lease is renewed as long as the server lives, and may be taken soon after', async () => {
    const first = await connect(home);
    const { data } = await first.call('create_task_sandbox', { title: 'Short lease', image });
    const task = { task_id: String(data['task_id']) };
    deleteAtTheEnd(home, task.task_id);
    const { data: attached } = await first.call('attach_agent_to_task', { ...task, agent: 'build', ttl_seconds: 1 });
    const second = await connect(home);
    const expiresAt = async () => {
      const { data } = await second.call('get_task_status', task);
      return Date.parse((data['agents'] as readonly { readonly expires_at: string }[])[0]?.expires_at ?? '');
    };
    await until(async () => (await expiresAt()) > Date.parse(String(attached['expires_at'])) + 1_000);
    const attach = () => second.call('attach_agent_to_task', { ...task, agent: 'review' });
    expect(await attach()).toMatchObject({ isError: true, data: { code: 'OCT_LEASE_HELD' } });
    await first.client.close();
    await until(async () => !(await attach()).isError);
  });

  test('a time limit ends the command, and the result says so', async () => {
    const { execute } = await work(home);
    const result = await execute('echo begun; sleep 1000', { timeout_ms: 300 });
    expect(result).toMatchObject({ isError: false, data: { reason: 'timeout', stdout: 'begun\n' } });
    expect(result.text).toMatch(/^ended: timeout/);
  });

  test('progress is reported while the sandbox is made and the command runs', async () => {
    const { execute } = await work(home);
    const seen: { readonly progress: number; readonly message?: string }[] = [];
    const onprogress = (progress: (typeof seen)[number]) => void seen.push(progress);
    await execute('echo one; sleep 1; echo two', {}, { onprogress });
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.map(({ progress }) => progress)).toEqual(seen.map((_, index) => index + 1));
    expect(seen.every(({ message }) => message !== undefined)).toBe(true);
  });

  test('of a large output the end arrives, below the caps of clients', async () => {
    const { execute } = await work(home);
    const result = await execute('i=0; while [ $i -lt 50000 ]; do echo "line $i"; i=$((i+1)); done; echo THE END');
    expect(Buffer.byteLength(result.text)).toBeLessThan(40_000);
    expect(result.text.split('\n').length).toBeLessThan(2_000);
    expect(result.text).toMatch(/line 49999\nTHE END$/);
    expect(result.data).toMatchObject({ truncated: true, stdout_bytes: 538_898 });
  });

  test('a call repeated with its key is done once', async () => {
    const { execute, call, handles } = await work(home);
    const key = { idempotency_key: 'append-1' };
    const [first, again] = [await execute('echo x >> log', key), await execute('echo x >> log', key)];
    expect(again.data['execution_id']).toBe(first.data['execution_id']);
    expect((await execute('cat log')).data['stdout']).toBe('x\n');
    expect(await execute('echo y', key)).toMatchObject({ isError: true, data: { code: 'OCT_IDEMPOTENCY_MISMATCH' } });
    const decide = () => call('record_decision', { ...handles, what: 'Once', idempotency_key: 'decide-1' });
    expect((await decide()).data).toEqual((await decide()).data);
  });

  test('stopping suspends, and deleting removes everything but the record', async () => {
    const { call, execute, handles } = await work(home);
    await execute('echo x > file');
    expect((await call('stop_task', handles)).data).toMatchObject({ status: 'suspended' });
    expect((await call('delete_task', { task_id: handles.task_id, dry_run: true })).data).toMatchObject({
      dry_run: true,
      containers: 1,
    });
    const ended = await execute('cat file');
    expect(ended).toMatchObject({ isError: true, data: { code: 'OCT_LEASE_LOST' } });
    const deleted = await call('delete_task', { task_id: handles.task_id });
    expect(deleted.data).toMatchObject({
      dry_run: false,
      containers: 1,
      final_checkpoint_id: expect.any(String) as string,
    });
    expect(await engineObjects(handles.task_id)).toEqual([]);
    expect((await call('delete_task', { task_id: handles.task_id })).data).toEqual(deleted.data);
    expect(await call('get_task_status', { task_id: handles.task_id })).toMatchObject({
      isError: true,
      data: { code: 'OCT_TASK_NOT_FOUND' },
    });
  });

  test('with its hooks turned on, a task from a repository starts on a branch of its own with a plan', async () => {
    const source = await repository();
    const config = `${home}.yaml`;
    await writeFile(config, 'hooks:\n  branchCreator: true\n  planFile: true\n');
    const { call } = await connect(home, '2025-11-25', ['--config', config]);
    const task = { title: 'Add a login page', agent: 'build', model: 'm-1', image, source };
    const { data } = await call('create_task_sandbox', task);
    const handles = { task_id: String(data['task_id']), session_id: data['session_id'] };
    deleteAtTheEnd(home, handles.task_id);
    const looked = await call('execute_in_task', { ...handles, command: 'cat .git/HEAD; head -n 1 Plan.md; ls -A' });
    expect(looked.text).toContain('exit 0');
    expect(looked.data['stdout']).toBe(
      'ref: refs/heads/build-m-1/add-a-login-page\n# Add a login page\n.git\nPlan.md\n',
    );
    expect(await readdir(source)).toEqual(['.git']);
    expect(await readFile(join(source, '.git', 'HEAD'), 'utf8')).toBe('ref: refs/heads/main\n');
  });

  test('an image that does not exist is an error with its remedy', async () => {
    const { call } = await connect(home);
    const result = await call('create_task_sandbox', { title: 'x', image: 'no-such-image:1' });
    expect(result).toMatchObject({ isError: true, data: { code: expect.stringMatching(/^OCT_IMAGE_/) as string } });
    expect((await call('list_tasks', {})).text).toBe('No tasks.');
  });
});
