import { PassThrough, Writable } from 'node:stream';
import { type Checkpoint, type ErrorCode, OpencodeToolsError, errorCatalogue, exitCodeFor } from '@opencode-tools/core';
import { describe, expect, test } from 'vitest';
import { type Answers, runLine, taskId } from '../test/run-line.ts';

const codes = Object.keys(errorCatalogue) as ErrorCode[];

describe('arguments that cannot be understood', () => {
  test.each([
    [['lst-tasks'], "Unknown command 'lst-tasks'", 'Did you mean list-tasks?'],
    [['frobnicate'], "Unknown command 'frobnicate'", 'See `opencode-tools --help` for the commands.'],
    [['todo', 'ad', 'x', 'y'], "Unknown command 'ad'", 'Did you mean add?'],
    [['todo'], 'The command needs another word', 'Add --help to it for the words it knows.'],
    [['list-tasks', '--statuz', 'x'], "Unknown option '--statuz'", 'Did you mean --status?'],
    [['list-tasks', '--status', 'done'], '--status cannot be "done"', /^Use one of: pending, running, /],
    [['list-tasks', '--limit', '0'], '--limit cannot be "0"', 'Use a whole number from 1 to 500.'],
    [['create-task'], "Missing required argument 'title'", /--help/],
    [['create-task', 'a', 'b'], /^Too many arguments for 'create-task'/, /--help/],
    [['stop', 't', '--session', '../x'], 'Not a session id: "../x"', /^A session id is ses_/],
    [['resume-task', 't', '--ttl', '3 weeks'], '--ttl cannot be "3 weeks"', /^Use a number with ms, s, m, h or d/],
    [['list-tasks', '--home'], '--home cannot be "--json"', 'Name a directory after --home.'],
    [['images', 'build', 'nope'], 'image cannot be "nope"', /^Use one of: opencode-sandbox-base/],
  ])('%j is refused with a remedy, and no home is opened', async (argv, message, remedy) => {
    const line = await runLine([...argv, '--json']);
    expect(line).toMatchObject({ code: 2, stdout: '', opened: [] });
    expect(JSON.parse(line.stderr)).toEqual({
      error: {
        code: 'OCT_INVALID_ARGUMENT',
        family: 'input',
        retryable: false,
        message: typeof message === 'string' ? message : expect.stringMatching(message),
        remedy: typeof remedy === 'string' ? remedy : expect.stringMatching(remedy),
        details: expect.any(Object),
      },
    });
  });

  test('are told to people as message, code and remedy', async () => {
    const { stderr } = await runLine(['lst-tasks']);
    expect(stderr).toBe(
      "error: Unknown command 'lst-tasks' (OCT_INVALID_ARGUMENT)\nremedy: Did you mean list-tasks?\n",
    );
  });
});

describe('what is likely to be a mistake in the configuration', () => {
  const notices = [{ message: 'The variable X is not known', remedy: 'Did you mean Y?' }];
  const list = async () => ({ items: [], next: null });

  test('is told to people once, beside the result', async () => {
    const { code, stderr } = await runLine(['list-tasks'], { tasks: { list } }, { notices });
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'warning: The variable X is not known. Did you mean Y?\n' });
  });

  test('keeps stderr one document for programs', async () => {
    expect(await runLine(['list-tasks', '--json'], { tasks: { list } }, { notices })).toMatchObject({ stderr: '' });
  });
});

describe('a failure of the services', () => {
  test.each(codes)('%s gives the exit code of its family, and 125 in exec', async (code) => {
    const fail = () => Promise.reject(new OpencodeToolsError(code, 'It went wrong'));
    const listed = await runLine(['list-tasks'], { tasks: { list: fail } });
    const run = await runLine(['exec', 't', '--', 'ls'], { executions: { run: fail } });
    expect([listed.code, run.code]).toEqual([exitCodeFor(code), 125]);
    expect(listed).toMatchObject({ stdout: '', closed: 1, stderr: expect.stringContaining(`It went wrong (${code})`) });
  });

  test('that is not an error of ours is an internal one', async () => {
    const fail = () => Promise.reject(new TypeError('x is not a function'));
    const line = await runLine(['list-tasks'], { tasks: { list: fail } });
    expect(line).toMatchObject({ code: 70, closed: 1 });
    expect(line.stderr).toContain('Unexpected failure: x is not a function (OCT_INTERNAL)');
  });

  test('while opening the home is reported the same way', async () => {
    const openHome = () => Promise.reject(new OpencodeToolsError('OCT_SCHEMA_TOO_NEW', 'Database is newer'));
    const line = await runLine(['list-tasks', '--json'], {}, { openHome });
    expect(line).toMatchObject({ code: 6, stdout: '' });
    expect(JSON.parse(line.stderr)).toMatchObject({ error: { code: 'OCT_SCHEMA_TOO_NEW' } });
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ])('after %s exits with %i', async (signal, code) => {
    const list = () => Promise.reject(new OpencodeToolsError('OCT_CANCELLED', 'Cancelled'));
    const line = await runLine(['list-tasks'], { tasks: { list } }, { signal: AbortSignal.abort(signal) });
    expect(line).toMatchObject({ code, closed: 1 });
  });
});

describe('a reader that goes away', () => {
  test('ends the output quietly', async () => {
    const line = await runLine(
      ['list-tasks'],
      { tasks: { list: async () => ({ items: [], next: null }) } },
      { stdout: closedPipe() },
    );
    expect(line).toMatchObject({ code: 0, stderr: '', closed: 1 });
  });

  test('aborts a command that runs for it', async () => {
    const run = async (_id: unknown, request: object, call: { signal?: AbortSignal }) => {
      const { onOutput } = request as { onOutput: (stream: 'stdout', chunk: Uint8Array) => void };
      onOutput('stdout', Buffer.from('y\n'));
      await new Promise((resolve) => call.signal?.addEventListener('abort', resolve, { once: true }));
      throw new OpencodeToolsError('OCT_CANCELLED', 'Cancelled');
    };
    const line = await runLine(['exec', 't', '--', 'yes'], { executions: { run } }, { stdout: closedPipe() });
    expect(line).toMatchObject({ code: 141, stderr: '', closed: 1 });
  });
});

test('a full disk behind stdout is a failure', async () => {
  const stdout = new Writable({
    write: (_chunk, _encoding, done) => done(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })),
  });
  const line = await runLine(['list-tasks'], { tasks: { list: async () => ({ items: [], next: null }) } }, { stdout });
  expect(line.code).toBe(70);
  expect(line.stderr).toContain('ENOSPC');
});

test('what a restore or a cleanup left out is printed', async () => {
  const notices = [
    '1 path in the workspace that is a socket, pipe or device is not in the checkpoint; the first: pipe',
  ];
  const checkpoint = { id: 'chk_00000000000000000000000001', name: 'first' } as unknown as Checkpoint;
  const receipt = { taskId, title: 'T', finalCheckpointId: checkpoint.id, memory: 'm', keptImages: [] };
  const removed = { containers: 1, volumes: 0, networks: 0 };
  const answers: Answers = {
    checkpoints: { restore: async () => ({ checkpoint, saved: null, endedProcesses: 0, notices }) },
    tasks: {
      delete: async () => ({ dryRun: false, receipt: { ...receipt, deletedAt: '', removed }, notices }),
    },
  };
  for (const argv of [
    ['restore-checkpoint', taskId, 'first'],
    ['cleanup-task', taskId],
  ]) {
    const line = await runLine(argv, answers);
    expect(line).toMatchObject({ code: 0, stderr: '' });
    expect(line.stdout).toContain(notices[0]);
  }
});

test('the version and the help page need no home', async () => {
  expect(await runLine(['--version'])).toMatchObject({ code: 0, stdout: '1.2.3\n', opened: [] });
  expect(await runLine([])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^Usage: opencode-tools /),
    opened: [],
  });
  expect(await runLine(['help', 'exec'])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^Usage: opencode-tools exec /),
  });
});

test('global options count before and after the command, and paths start at the working directory', async () => {
  const answers = { tasks: { list: async () => ({ items: [], next: null }) } };
  const before = await runLine(['--json', '--home', 'h', 'list-tasks'], answers);
  const after = await runLine(['list-tasks', '--home', '/h', '--config', 'c.yaml', '--json'], answers);
  expect(before.opened).toEqual([{ home: '/somewhere/h' }]);
  expect(after.opened).toEqual([{ home: '/h', configFile: '/somewhere/c.yaml' }]);
  expect(JSON.parse(before.stdout)).toEqual({ tasks: [], next: null });
});

test('colours are for terminals whose owner did not refuse them', async () => {
  const answers = { tasks: { list: async () => ({ items: [], next: null }) } };
  const coloured = async (argv: string[], environment: Record<string, string> = {}) => {
    const stdout = Object.assign(new PassThrough(), { columns: 100 });
    await runLine(argv, answers, { isTty: true, environment, stdout });
    return String(stdout.read()).includes('\u001b[');
  };
  expect(await coloured(['list-tasks'])).toBe(true);
  expect(await coloured(['list-tasks', '--no-color'])).toBe(false);
  expect(await coloured(['list-tasks'], { NO_COLOR: '1' })).toBe(false);
  expect(await coloured(['list-tasks'], { TERM: 'dumb' })).toBe(false);
});

function closedPipe(): Writable {
  return new Writable({
    write: (_chunk, _encoding, done) => done(Object.assign(new Error('EPIPE'), { code: 'EPIPE' })),
  });
}
