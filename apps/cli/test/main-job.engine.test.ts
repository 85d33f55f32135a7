import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Checkpoint, Execution, Receipt, StoredRecord, Task, Todo } from '@opencode-tools/core';
import { type TestEngine, openTestEngine, until } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { homeObjects, removeCheckpoints } from './home-objects.ts';
import { type Cli, finish, openCli } from './run-bin.ts';

let engine: TestEngine;
let cli: Cli;
let repository: string;

beforeAll(async () => {
  engine = await openTestEngine();
  cli = await openCli();
  repository = await makeRepository();
});

afterAll(async () => {
  const { ofTasks: left } = await homeObjects(engine, cli);
  await removeCheckpoints(engine, cli);
  await cli[Symbol.asyncDispose]();
  await rm(repository, { recursive: true, force: true });
  await engine.close();
  if (left.length > 0) throw new Error(`The tests left behind: ${left.join(', ')}`);
});

test('a task is worked in, left, resumed by another agent, rolled back, forked, completed and cleaned up', async () => {
  const { task } = await cli.json<{ task: Task }>([
    'create-task',
    'Main job',
    '--image',
    engine.imageId,
    '--git',
    repository,
  ]);
  expect(task).toMatchObject({ status: 'pending', title: 'Main job' });

  const first = await attach(['Main job', '--agent', 'alpha', '--model', 'm1']);
  await succeed(
    ['exec', 'Main job', '--', 'sh', '-c', 'echo changed > a.txt; rm b.txt; mkdir empty; echo root > /opt/tool'],
    first.session.id,
  );
  const why = ['--why', 'It is quicker', '--alternative', 'wait'];
  await succeed(['decide', 'Main job', 'Change a.txt', ...why], first.session.id);
  const { todo } = await cli.json<{ todo: Todo }>([
    'todo',
    'add',
    'Main job',
    'Finish it',
    '--session',
    first.session.id,
  ]);
  await succeed(['note', 'add', 'Main job', 'Mind the gap'], first.session.id);
  const { checkpoint } = await cli.json<{ checkpoint: Checkpoint }>([
    'checkpoint',
    'Main job',
    '--name',
    'good',
    '--session',
    first.session.id,
  ]);
  const before = await describeFiles(first.session.id);

  const long = cli.start([
    'exec',
    'Main job',
    '--session',
    first.session.id,
    '--',
    'sh',
    '-c',
    'echo begun; sleep 600',
  ]);
  await new Promise((resolve) => long.stdout?.once('data', resolve));
  long.kill('SIGKILL');
  await finish(long);

  expect(await cli.run(['resume-task', 'Main job', '--agent', 'beta'])).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('OCT_LEASE_HELD'),
  });
  const second = await attach(['Main job', '--agent', 'beta', '--takeover']);
  expect(second.lease.token).toBeGreaterThan(first.lease.token);
  expect(second.recovered).toMatchObject([{ kind: 'execution', resolution: 'interrupted' }]);
  expect(second.briefing).toMatchObject({
    decisions: [{ what: 'Change a.txt' }],
    todos: [{ text: 'Finish it' }],
    notes: [{ text: 'Mind the gap' }],
  });
  const late = await cli.run(['exec', 'Main job', '--session', first.session.id, '--', 'touch', 'late']);
  expect(late).toMatchObject({ code: 125, stderr: expect.stringContaining('OCT_LEASE_LOST') });
  expect(await describeFiles(second.session.id)).toBe(before);

  await succeed(
    ['exec', 'Main job', '--', 'sh', '-c', 'rm -rf /workspace/* /opt/tool; echo broken > broken'],
    second.session.id,
  );
  await succeed(['restore-checkpoint', 'Main job', 'good'], second.session.id);
  expect(await describeFiles(second.session.id)).toBe(before);

  const { task: forked } = await cli.json<{ task: Task }>([
    'fork',
    'Main job',
    '--checkpoint',
    checkpoint.id,
    '--title',
    'Other way',
    '--session',
    second.session.id,
  ]);
  await succeed(['exec', forked.id, '--', 'sh', '-c', 'grep changed a.txt && echo other > a.txt']);
  expect(await describeFiles(second.session.id)).toBe(before);

  await succeed(['todo', 'done', 'Main job', todo.id.slice(-8)], second.session.id);
  await succeed(['complete-task', 'Main job', '--summary', 'Done', '--session', second.session.id]);
  expect(await cli.json(['verify'])).toMatchObject({ ok: true });
  for (const id of [task.id, forked.id]) {
    const planned = await cli.json<{ dryRun: boolean }>(['cleanup-task', id, '--dry-run']);
    expect(planned.dryRun).toBe(true);
    const { receipt } = await cli.json<{ receipt: Receipt }>(['cleanup-task', id]);
    expect(receipt.removed.containers).toBe(1);
  }
  expect((await homeObjects(engine, cli)).ofTasks).toEqual([]);
  const { records } = await cli.json<{ records: StoredRecord[] }>([
    'task-history',
    task.id,
    '--oldest-first',
    '--limit',
    '1000',
  ]);
  expect(records.map(({ seq }) => seq)).toEqual(records.map((_record, index) => index + 1));
  expect(await cli.run(['stop', task.id])).toMatchObject({
    code: 3,
    stderr: expect.stringContaining('OCT_TASK_NOT_FOUND'),
  });
});

describe('exec', () => {
  beforeAll(async () => {
    await succeed(['create-task', 'Commands', '--image', engine.imageId]);
  });

  afterAll(async () => {
    await succeed(['cleanup-task', 'Commands']);
  });

  test('passes output, input and the exit code of the command through', async () => {
    const ran = await cli.run(
      ['exec', 'Commands', '--stdin', '--env', 'WHO', '--script', 'cat; echo "$WHO" >&2; exit 9'],
      {
        input: 'hello',
        env: { WHO: 'world' },
      },
    );
    expect(ran).toEqual({ code: 9, stdout: 'hello', stderr: 'world\n' });
  });

  test('gives 128 + n for a signal, 124 after the time limit, and 127 for a program that is not there', async () => {
    expect(await cli.run(['exec', 'Commands', '--script', 'kill -9 $$'])).toMatchObject({ code: 137 });
    expect(await cli.run(['exec', 'Commands', '--timeout', '300ms', '--', 'sleep', '60'])).toMatchObject({ code: 124 });
    expect(await cli.run(['exec', 'Commands', '--', 'no-such-program'])).toMatchObject({ code: 127 });
  });

  test('ends the command and exits with 130 at Ctrl-C', async () => {
    const child = cli.start(['exec', 'Commands', '--', 'sh', '-c', 'echo begun; exec sleep 4321']);
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    child.kill('SIGINT');
    expect(await finish(child)).toMatchObject({ code: 130 });
    const { stdout } = await cli.run(['exec', 'Commands', '--script', 'ps -o args | grep "[s]leep 4321" || echo none']);
    expect(stdout).toBe('none\n');
  });

  test('ends a command whose reader has gone', async () => {
    const child = cli.start(['exec', 'Commands', '--', 'yes']);
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    child.stdout?.destroy();
    await until(() => child.exitCode !== null || child.signalCode !== null);
    expect(child.exitCode).toBe(141);
  });

  test('keeps the whole output, which task-executions lists and prints', async () => {
    await succeed(['exec', 'Commands', '--script', 'seq 1 200000']);
    const { executions } = await cli.json<{ executions: Execution[] }>(['task-executions', 'Commands', '--limit', '1']);
    const whole = await succeed(['task-executions', 'Commands', '--output', executions[0]?.id.slice(-8) ?? '']);
    expect(whole).toBe(`${Array.from({ length: 200_000 }, (_none, index) => index + 1).join('\n')}\n`);
  });

  test('runs once for one idempotency key', async () => {
    const argv = ['exec', 'Commands', '--idempotency-key', 'once', '--', 'sh', '-c', 'echo x >> count; wc -l < count'];
    const once = await cli.json<{ execution: Execution }>(argv);
    const again = await cli.json<{ execution: Execution }>(argv);
    expect(again.execution.id).toBe(once.execution.id);
    expect(await succeed(['exec', 'Commands', '--', 'cat', 'count'])).toBe('x\n');
  });
});

test('an image that is nowhere is not found, and nothing is left of the attempt', async () => {
  const ran = await cli.run(['create-task', 'No image', '--image', 'opencode-tools-nowhere:none', '--json']);
  expect(ran).toMatchObject({ code: 3, stdout: '' });
  expect(JSON.parse(ran.stderr)).toMatchObject({
    error: { code: 'OCT_IMAGE_NOT_FOUND', remedy: expect.stringContaining('images build') },
  });
  expect(await cli.json(['find-task', 'No', 'image'])).toEqual({ tasks: [], next: null });
});

interface Attached {
  readonly session: { readonly id: string };
  readonly lease: { readonly token: number };
  readonly recovered: readonly object[];
  readonly briefing: object;
}

function attach(argv: readonly string[]): Promise<Attached> {
  return cli.json(['resume-task', ...argv]);
}

async function succeed(argv: readonly string[], session?: string): Promise<string> {
  const ran = await cli.run(argv, session === undefined ? {} : { env: { OPENCODE_TOOLS_SESSION: session } });
  if (ran.code !== 0) throw new Error(`${argv.join(' ')} ended with ${ran.code}: ${ran.stderr}`);
  return ran.stdout;
}

/** Names, modes, links and contents of the workspace, and the one file outside it. */
function describeFiles(session: string): Promise<string> {
  const script =
    'cd /workspace; find . -path ./.git -prune -o -print | sort | while read f; do stat -c "%n %f %N" "$f"; done; find . -path ./.git -prune -o -type f -print | sort | xargs sha256sum; cat /opt/tool';
  return succeed(['exec', 'Main job', '--script', script], session);
}

async function makeRepository(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'oct-cli-repo-'));
  await writeFile(join(directory, 'a.txt'), 'a\n');
  await writeFile(join(directory, 'b.txt'), 'b\n');
  await writeFile(join(directory, 'run.sh'), '#!/bin/sh\n');
  await chmod(join(directory, 'run.sh'), 0o755);
  await symlink('a.txt', join(directory, 'link'));
  const git = (...argv: string[]) =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', ...argv], { cwd: directory });
  git('init', '-q', '-b', 'main');
  git('add', '.');
  git('commit', '-q', '-m', 'Start');
  return directory;
}
