import type { Call, CreateTask, ReadRecords, TaskFilter, CommittedWork, TaskWorkMerged } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import { runLine, taskId } from '../../test/run-line.ts';

const executionId = 'exe_0000000000000000000000000a';
const task = {
  id: taskId,
  title: 'Fix \u001b[31mit',
  status: 'pending',
  updatedAt: '2026-11-20T08:15:30.123Z',
  workspace: { mode: 'volume', path: '/workspace', source: { kind: 'git', shallow: true }, base: null },
} as never;

test('create-task turns its options into the request, and names what it made', async () => {
  const asked: { readonly input: CreateTask; readonly call: Call }[] = [];
  const create = async (input: CreateTask, call: Call) => {
    asked.push({ input, call });
    return task;
  };
  const options = [
    '--git',
    'repo',
    '--ref',
    'main',
    '--dirty',
    'carry',
    '--memory',
    '512m',
    '--label',
    'a=b',
    '--env',
    'T',
  ];
  const secret = ['--env', 'K=file:k.txt', '--agent', 'build', '--model', 'm1', '--network', 'upgradable'];
  const line = await runLine(['create-task', 'Fix it', ...options, ...secret], { tasks: { create } });
  expect(asked[0]).toMatchObject({
    input: {
      title: 'Fix it',
      workspace: { kind: 'git', path: '/somewhere/repo', ref: 'main', dirty: 'carry' },
      limits: { memoryBytes: 536_870_912 },
      labels: { a: 'b' },
      network: { mode: 'upgradable', rules: [] },
      env: [
        { name: 'T', from: 'env', variable: 'T' },
        { name: 'K', from: 'file', path: '/somewhere/k.txt' },
      ],
      agent: 'build',
    },
    call: { actor: { kind: 'agent', id: 'build', agent: 'build', model: 'm1', session: null } },
  });
  expect(line).toMatchObject({ code: 0, stderr: '' });
  expect(line.stdout).toContain('created 00000001 Fix it\n');
  expect(line.stdout).toContain('\nThe repository is a shallow clone: ');
});

test.each([
  [['--git', 'a', '--bind', 'b'], '--git and --bind cannot be combined'],
  [['--ref', 'main'], '--ref has no meaning without --git'],
  [['--env', 'TOKEN=hunter2'], 'names no place to take the value from'],
])('create-task refuses %j', async (options, message) => {
  const line = await runLine(['create-task', 'x', ...options]);
  expect(line).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
  expect(line.stderr).not.toContain('hunter2');
});

test('list-tasks asks with its filters and shows no control characters', async () => {
  const asked: (readonly [TaskFilter, object | undefined])[] = [];
  const list = async (filter: TaskFilter, page?: object) => {
    asked.push([filter, page]);
    return { items: [task], next: 'abc' };
  };
  const argv = ['list-tasks', '--status', 'pending', '--status', 'running', '--label', 'a', '--limit', '1'];
  const line = await runLine(argv, { tasks: { list } });
  expect(asked).toEqual([[{ status: ['pending', 'running'], label: { name: 'a' } }, { limit: 1 }]]);
  expect(line.stdout).toBe(
    'TASK      STATUS   UPDATED               TITLE\n00000001  pending  2026-11-20 08:15:30Z  Fix it\nMore: --cursor abc\n',
  );
});

test('find-task joins its words', async () => {
  const asked: TaskFilter[] = [];
  const list = async (filter: TaskFilter) => {
    asked.push(filter);
    return { items: [], next: null };
  };
  await runLine(['find-task', 'two', 'words'], { tasks: { list } });
  expect(asked).toEqual([{ text: 'two words' }]);
});

test('task-history reads newest first, and onward from a number', async () => {
  const asked: (ReadRecords | undefined)[] = [];
  const history = async (_task: string, options?: ReadRecords) => {
    asked.push(options);
    return [{ seq: 1, payload: '{"puts":[],"detail":{}}' } as never, { seq: 2, payload: null } as never];
  };
  const line = await runLine(['task-history', 't', '--json'], { ledger: { history } });
  await runLine(['task-history', 't', '--after', '5', '--type', 'task.', '--json'], { ledger: { history } });
  expect(asked).toEqual([{ newestFirst: true }, { newestFirst: false, afterSeq: 5, types: ['task.'] }]);
  expect(JSON.parse(line.stdout)).toEqual({
    taskId,
    records: [
      { seq: 1, payload: { puts: [], detail: {} } },
      { seq: 2, payload: null },
    ],
  });
});

test('task-executions --output prints the whole output, slice by slice', async () => {
  const whole = Buffer.from('0123456789');
  const executions = {
    list: async () => ({ items: [{ id: executionId } as never], next: null }),
    readOutput: async (_id: string, _stream: string, range: { offset?: number } = {}) => {
      const offset = range.offset ?? 0;
      return { bytes: whole.subarray(offset, offset + 4), offset, totalBytes: whole.length };
    },
  };
  const raw = await runLine(['task-executions', 't', '--output', '0000000a'], { executions });
  const json = await runLine(['task-executions', 't', '--output', executionId, '--stream', 'stderr', '--json'], {
    executions,
  });
  expect(raw).toMatchObject({ code: 0, stdout: '0123456789' });
  expect(JSON.parse(json.stdout)).toEqual({ executionId, stream: 'stderr', totalBytes: 10, text: '0123456789' });
});

test('an execution that the task does not have is not found', async () => {
  const list = async () => ({ items: [], next: null });
  const line = await runLine(['task-executions', 't', '--output', '0000000b'], { executions: { list } });
  expect(line).toMatchObject({ code: 3, stderr: expect.stringContaining('(OCT_EXECUTION_NOT_FOUND)') });
});

test('verify exits with 8 and names the first broken record', async () => {
  const broken = { stream: taskId, seq: 4, fault: 'hash-mismatch', expected: 'aa', found: 'bb' } as const;
  const verify = async () => ({ ok: false, chains: 1, records: 3, broken: [broken], limit: 'It proves little.' });
  const line = await runLine(['verify', 't'], { ledger: { verify } });
  expect(line.code).toBe(8);
  expect(line.stdout).toBe(
    `broken 3 records in 1 chain\nhash-mismatch at record 4 of ${taskId}\n  expected aa\n  found    bb\nIt proves little.\n`,
  );
});

test('doctor exits with 6 when no engine answers', async () => {
  const error = { code: 'OCT_ENGINE_UNAVAILABLE', message: 'Nobody home' } as never;
  const finding = { severity: 'problem', subject: 'engine', message: 'Nobody home', remedy: 'Start it.' } as const;
  const engine = { answers: [], capabilities: null, error };
  const run = async () => ({
    healthy: false,
    findings: [finding],
    store: null,
    engine,
    recovered: [],
    orphans: [],
    reaping: null,
    housekeeping: null,
  });
  const line = await runLine(['doctor'], { doctor: { run } });
  expect(line).toMatchObject({
    code: 6,
    stdout: 'problem engine: Nobody home\n        remedy: Start it.\nnot healthy\n',
  });
});

test('detach without any session says where to get one', async () => {
  const line = await runLine(['detach']);
  expect(line).toMatchObject({ code: 2, stderr: expect.stringContaining('`opencode-tools resume-task` prints it') });
});

test('resume-task attaches as the account when no agent is named, and briefs', async () => {
  const attach = async (_task: string, options: object) => {
    expect(options).toMatchObject({ agent: expect.stringMatching(/./), takeover: true, ttlMs: 60_000 });
    return {
      session: { id: 'ses_1', agent: 'me' },
      lease: { token: 7, expiresAt: '2026-11-20T08:15:30.123Z' },
      task,
      displaced: [{ agent: 'other' }],
      recovered: [{ operationId: 'opn_1', kind: 'execution', resolution: 'interrupted', summary: 'sleep was ended' }],
      endedProcesses: 1,
    } as never;
  };
  const journal = {
    decisions: async () => [{ what: 'Use pnpm', why: 'speed' }] as never,
    todos: async () =>
      [
        { id: 'tdo_12345678', state: 'open', text: 'Test it' },
        { id: 'tdo_2', state: 'done', text: 'Old' },
      ] as never,
    notes: async () => [],
  };
  const line = await runLine(['resume-task', 't', '--takeover', '--ttl', '1m'], { sessions: { attach }, journal });
  expect(line.stdout).toBe(
    [
      'attached to 00000001 Fix it',
      'session ses_1 (token 7, until 2026-11-20 08:15:30Z)',
      'export OPENCODE_TOOLS_SESSION=ses_1',
      'ended session of other',
      'interrupted execution: sleep was ended',
      'ended 1 process of earlier holders',
      '',
      'Decisions',
      '  - Use pnpm (speed)',
      '',
      'Todos',
      '  - 12345678 open Test it',
      '',
    ].join('\n'),
  );
});

test.each([
  ['registry.example:5000/team/image:1', `registry.example:5000/team/image@sha256:ab`],
  ['opencode-sandbox-base', 'opencode-sandbox-base@sha256:ab'],
  ['base@sha256:ab', 'base@sha256:ab'],
])('images pin prints %s as %s', async (image, pinned) => {
  const images = { ensure: async () => ({ id: 'sha256:ab' }) };
  const openHome = async () => ({ services: {}, notices: [], images, close: async () => undefined }) as never;
  expect(await runLine(['images', 'pin', image], {}, { openHome })).toMatchObject({ code: 0, stdout: `${pinned}\n` });
});

test.each([
  [{}, 0, 'made: work in /r, 2 commits, 1 path\nabc\n'],
  [
    { merged: false, conflicts: [{ path: 'a', reason: 'changed in the task and on the branch' }] },
    4,
    'nothing was changed: work in /r\nconflict a: changed in the task and on the branch\n',
  ],
  [
    { merged: false, refused: [{ path: 'Makefile', rule: 'build', why: 'builds run it' }] },
    5,
    'nothing was changed: work in /r\ntripwire build Makefile: builds run it\nAccept each by --accept PATH when it is meant.\n',
  ],
] as const)('merging says what happened and what waits: %j', async (difference, code, stdout) => {
  const merged = {
    merged: true,
    how: 'created',
    branch: 'work',
    commit: 'abc',
    commits: 2,
    workTree: null,
    repository: '/r',
    changes: [{ path: 'a', change: 'added' }],
    tripwires: [],
    conflicts: [],
    refused: [],
    ...difference,
  };
  const asked: unknown[] = [];
  const merge = async (_id: string, options: object) => (asked.push(options), merged as unknown as TaskWorkMerged);
  const line = await runLine(['merge', 't', '--branch', 'work', '--accept', 'x'], { work: { merge } });
  expect(asked).toEqual([{ branch: 'work', accept: ['x'], dryRun: false }]);
  expect(line).toMatchObject({ code, stdout });
});

test.each([
  [{}, 0, 'committed: 1 path to main in /r\nabc\n'],
  [
    { committed: false, commit: null, changes: [], conflicts: [{ path: 'a', reason: 'has a filter' }] },
    4,
    'nothing was committed: main in /r\nconflict a: has a filter\n',
  ],
  [
    {
      committed: false,
      branch: null,
      leftOut: ['n'],
      refused: [{ path: 'Makefile', rule: 'build', why: 'builds run it' }],
    },
    5,
    'nothing was committed: a detached commit in /r\nadded    a\nleft out n: a repository of its own, or neither file nor link\ntripwire build Makefile: builds run it\nAccept each by --accept PATH when it is meant.\n',
  ],
] as const)('committing says what happened and what waits: %j', async (difference, code, stdout) => {
  const committed = {
    committed: true,
    repository: '/r',
    branch: 'main',
    commit: 'abc',
    changes: [{ path: 'a', change: 'added' }],
    tripwires: [],
    conflicts: [],
    leftOut: [],
    refused: [],
    ...difference,
  };
  const asked: unknown[] = [];
  const commit = async (_id: string, options: object) => (asked.push(options), committed as unknown as CommittedWork);
  const line = await runLine(['commit', 't', '-m', 'why', '--author', 'A <a>'], { work: { commit } });
  expect(asked).toEqual([{ message: 'why', author: 'A <a>', accept: [], dryRun: false }]);
  expect(line).toMatchObject({ code, stdout });
  expect(await runLine(['commit', 't'], { work: { commit } })).toMatchObject({ code: 2 });
});
