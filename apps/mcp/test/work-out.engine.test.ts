import { execFile } from 'node:child_process';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { openTestEngine } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, deleteAtTheEnd, repository, temporaryHome } from './support.ts';

const run = promisify(execFile);
const asAgent = 'git -c user.name=agent -c user.email=agent@example.org';
let engine: Awaited<ReturnType<typeof openTestEngine>>;
let image: string;

beforeAll(async () => {
  engine = await openTestEngine();
  image = await engine.gnuImage();
});
afterAll(() => engine.close());

/** A task from a repository with one file, over a server that is configured so. */
async function work(configuration: string) {
  const home = await temporaryHome();
  const config = `${home}.yaml`;
  await mkdir(dirname(config), { recursive: true });
  await writeFile(config, configuration);
  const source = await repository();
  await writeFile(join(source, 'file'), 'one\n');
  const git = async (...args: readonly string[]) => (await run('git', ['-C', source, ...args])).stdout.trim();
  await git('add', 'file');
  await git('-c', 'user.name=t', '-c', 'user.email=t@example.org', 'commit', '-qm', 'file');
  const { call } = await connect(home, '2025-11-25', ['--config', config]);
  const { data } = await call('create_task_sandbox', { title: 'Two lines', agent: 'build', image, source });
  const handles = { task_id: String(data['task_id']), session_id: String(data['session_id']) };
  deleteAtTheEnd(home, handles.task_id, ['--config', config]);
  const tool = (name: string, more: Record<string, unknown> = {}) => call(name, { ...handles, ...more });
  const execute = async (command: string, more: Record<string, unknown> = {}) => {
    const done = await tool('execute_in_task', { command, ...more });
    expect(done).toMatchObject({ isError: false, data: { stderr: '' } });
    return String(done.data['stdout']);
  };
  return { source, git, tool, execute, branch: `opencode-tools/${handles.task_id.slice(-8)}` };
}

describe('work out of a task, by its agent', () => {
  test('commits come to a branch of ours, what is uncommitted last; branch and directory of the user stay as they are', async () => {
    const { source, git, tool, execute, branch } = await work('{}\n');
    const main = await git('rev-parse', 'main');
    await execute(`echo two >> file; ${asAgent} commit -qam two; echo three >> file`);

    const diff = await tool('diff_task');
    expect(diff.data).toMatchObject({ changes: [{ path: 'file', change: 'modified' }], tripwires: [], total: 1 });
    const rehearsed = await tool('merge_task_work', { dry_run: true });
    expect(rehearsed.data).toMatchObject({ merged: false, how: 'created', branch });
    expect(await git('branch', '--list', branch)).toBe('');

    const merged = await tool('merge_task_work');
    expect(merged).toMatchObject({ isError: false, data: { merged: true, how: 'created', branch, commits: 2 } });
    expect(await git('show', `${branch}:file`)).toBe('one\ntwo\nthree');
    expect(await git('rev-parse', 'main')).toBe(main);
    expect(await readFile(join(source, 'file'), 'utf8')).toBe('one\n');

    for (const [name, more] of [
      ['apply_task_work', {}],
      ['merge_task_work', { into: 'main' }],
      ['merge_task_work', { branch: 'main' }],
    ] as const) {
      const refused = await tool(name, more);
      expect(refused).toMatchObject({ isError: true, data: { code: 'OCT_POLICY_DENIED' } });
      expect(refused.text).toContain('agents.work: directory');
    }
    expect((await tool('apply_task_work', { dry_run: true })).data).toMatchObject({
      applied: false,
      changed: ['file'],
    });
    expect(await git('status', '--porcelain')).toBe('');
    expect(await git('rev-parse', 'main')).toBe(main);
  });

  test('where the user allows it, files come into the directory; tripwires wait for the user all the same', async () => {
    const { source, git, tool, execute } = await work('agents: {work: directory}\n');
    await execute('echo two >> file; echo "all: ;" > Makefile');
    const waiting = await tool('apply_task_work');
    expect(waiting.data).toMatchObject({ applied: false, refused: [{ path: 'Makefile', rule: 'build' }] });
    expect(waiting.text).toMatch(/Only the user can accept tripwires.*opencode-tools apply \S+ --accept PATH/);
    expect(await readdir(source)).toEqual(['.git', 'file']);
    expect((await tool('apply_task_work', { accept: ['Makefile'] })).data).toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
    });

    await execute('rm Makefile');
    expect((await tool('apply_task_work')).data).toMatchObject({ applied: true, changed: ['file'], conflicts: [] });
    expect(await readFile(join(source, 'file'), 'utf8')).toBe('one\ntwo\n');

    await writeFile(join(source, 'file'), 'mine\n');
    await execute('echo three >> file');
    const conflict = await tool('apply_task_work', { three_way: true });
    expect(conflict.data).toMatchObject({ applied: false, conflicts: [{ path: 'file' }] });
    expect(conflict.text).toContain('conflict file:');
    expect(await git('show', 'main:file')).toBe('one');
  });

  test('where the user allows a look only, nothing is made', async () => {
    const { git, tool, execute } = await work('agents: {work: review}\n');
    await execute('echo two >> file');
    const refused = await tool('merge_task_work');
    expect(refused).toMatchObject({ isError: true, data: { code: 'OCT_POLICY_DENIED' } });
    expect(refused.text).toContain('agents.work: branch');
    expect((await tool('merge_task_work', { dry_run: true })).data).toMatchObject({ merged: false, total: 1 });
    expect(await git('branch', '--format=%(refname:short)')).toBe('main');
  });
});

test.each([
  ['{}\n', false],
  ['agents: {work: directory}\n', true],
])('a bind workspace is committed by its agent where the user allows that: %j', async (configuration, allowed) => {
  const home = await temporaryHome();
  const config = `${home}.yaml`;
  await mkdir(dirname(config), { recursive: true });
  await writeFile(config, configuration);
  const source = await repository();
  const git = async (...args: readonly string[]) =>
    (await run('git', ['-c', 'safe.directory=*', '-C', source, ...args])).stdout.trim();
  for (const [key, value] of [
    ['user.name', 'Grace'],
    ['user.email', 'grace@example.org'],
  ] as const)
    await git('config', key, value);
  if (process.getuid?.() === 0) await run('chown', ['-R', '4321:5432', source]);
  const { call } = await connect(home, '2025-11-25', ['--config', config]);
  const made = await call('create_task_sandbox', { title: 'Bind', agent: 'build', image, source, source_kind: 'bind' });
  const handles = { task_id: String(made.data['task_id']), session_id: String(made.data['session_id']) };
  deleteAtTheEnd(home, handles.task_id, ['--config', config]);
  await call('execute_in_task', { ...handles, command: 'echo two >> file; touch new' });
  const done = await call('commit_task_work', { ...handles, message: 'Two lines', paths: ['file'] });
  const last = await git('log', '-1', '--format=%an: %s');
  if (allowed) {
    expect(done).toMatchObject({ isError: false, data: { committed: true, changes: [{ path: 'file' }] } });
    expect(last).toBe('Grace: Two lines');
    return;
  }
  expect(done).toMatchObject({ isError: true, data: { code: 'OCT_POLICY_DENIED' } });
  expect(done.text).toContain('opencode-tools commit');
  expect(last).not.toContain('Two lines');
});

test('checkpoints are saved, listed, compared and brought back', async () => {
  const { tool, execute } = await work('{}\n');
  const save = async (name: string) => String((await tool('create_task_checkpoint', { name })).data['checkpoint_id']);
  const first = await save('before');
  await execute('echo two >> file; touch new; echo x > ~/note');
  const second = await save('after');
  const { data } = await tool('list_task_checkpoints', { session_id: undefined });
  expect(data['checkpoints']).toMatchObject([
    { checkpoint_id: second, parent_id: first, name: 'after', agent: 'build' },
    { checkpoint_id: first, name: 'before' },
  ]);
  const both = await tool('diff_task', { from: 'before', to: 'after' });
  expect(both.data).toMatchObject({
    from_checkpoint_id: first,
    to_checkpoint_id: second,
    changes: [
      { path: 'file', change: 'modified' },
      { path: 'new', change: 'added' },
    ],
  });
  expect(both.data['home_changes']).toContainEqual({ path: 'note', change: 'added' });
  expect(both.text).toContain('A ~/note');
  await execute('rm new');
  const sinceAfter = await tool('diff_task', { from: second });
  expect(sinceAfter.data).toMatchObject({ changes: [{ path: 'new', change: 'deleted' }], home_changes: [] });

  const restored = await tool('restore_task_checkpoint', { checkpoint: 'before' });
  expect(restored.data).toMatchObject({ checkpoint_id: first });
  expect(await execute('cat file; ls')).toBe('one\nfile\n');
  const completed = await tool('complete_task', { summary: 'It was one line all along' });
  expect(completed.data).toMatchObject({ status: 'completed' });
});

test('a secret that the user configured comes by name, as a variable of one command, and stays out of the output', async () => {
  const { tool, execute } = await work('secrets: {TOKEN: {from: command, argv: [echo, canary-of-the-user-81f3]}}\n');
  expect(await execute('echo "${#TOKEN} $TOKEN"', { secrets: ['TOKEN'] })).toMatch(/^23 .*redacted/i);
  expect(await execute('echo "${TOKEN:-none}"')).toBe('none\n');
  const unknown = await tool('execute_in_task', { command: 'true', secrets: ['HOME'] });
  expect(unknown).toMatchObject({ isError: true, data: { code: 'OCT_INVALID_ARGUMENT' } });
  expect(unknown.text).toContain('Use one of TOKEN');
});
