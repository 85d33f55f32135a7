import type { Call, Execution, ExecutionResult, RunCommand } from '@opencode-tools/core';
import { describe, expect, test } from 'vitest';
import { runLine, taskId } from '../../test/run-line.ts';
import { exitCodeOf } from './exec.ts';

const sessionId = 'ses_00000000000000000000000002';

function recording(end: Partial<Execution> = { exitCode: 0, reason: 'exited' }) {
  const requests: { readonly options: RunCommand; readonly call: Call }[] = [];
  const run = async (_task: string, options: RunCommand, call: Call) => {
    requests.push({ options, call });
    await options.onOutput?.('stdout', Buffer.from('out\u001b[31m\n'));
    await options.onOutput?.('stderr', Buffer.from('err\n'));
    const preview = { text: 'out\n', totalBytes: 4, truncated: false };
    return { execution: { taskId, durationMs: 5, ...end }, stdout: preview, stderr: preview } as ExecutionResult;
  };
  return { requests, answers: { executions: { run } } };
}

test('what follows -- is the command, options included', async () => {
  const { requests, answers } = recording();
  await runLine(['exec', 't', '--timeout', '5', '--', 'ls', '--json', '-l', '--', 'x'], answers);
  expect(requests[0]?.options).toMatchObject({
    command: { kind: 'argv', argv: ['ls', '--json', '-l', '--', 'x'] },
    timeoutMs: 5_000,
    env: {},
  });
});

test('output comes as it is, each stream on its own', async () => {
  const line = await runLine(['exec', 't', '--', 'ls'], recording().answers);
  expect(line).toMatchObject({ code: 0, stdout: 'out\u001b[31m\n', stderr: 'err\n' });
});

test('what was changed outside the claims is said beside the output', async () => {
  const claims = { checked: true, reason: null, paths: ['src/a'], total: 3, uncertain: false };
  const run = async () => {
    const preview = { text: '', totalBytes: 0, truncated: false };
    const execution = { taskId, exitCode: 0, reason: 'exited', durationMs: 5 } as Execution;
    return { execution, stdout: preview, stderr: preview, outsideClaims: claims } as ExecutionResult;
  };
  const { code, stderr } = await runLine(['exec', 't', '--', 'ls'], { executions: { run } });
  expect(code).toBe(0);
  expect(stderr).toBe('opencode-tools: changed outside the claims of this session: src/a and 2 more\n');
});

test('what holds a command up is said at once, and not again when it has ended', async () => {
  const said: string[] = [];
  const run = async (_task: string, options: RunCommand) => {
    options.onNotice?.('the sandbox was held');
    await options.onOutput?.('stderr', Buffer.from('err\n'));
    const preview = { text: '', totalBytes: 0, truncated: false };
    const execution = { taskId, exitCode: 0, reason: 'exited', durationMs: 5 } as Execution;
    const notices = ['the sandbox was held', 'it was made anew'];
    return { execution, stdout: preview, stderr: preview, notices } as ExecutionResult;
  };
  said.push((await runLine(['exec', 't', '--', 'ls'], { executions: { run } })).stderr);
  said.push((await runLine(['exec', 't', '--json', '--', 'ls'], { executions: { run } })).stderr);
  expect(said).toEqual(['opencode-tools: the sandbox was held\nerr\nopencode-tools: it was made anew\n', '']);
});

test('what would run on this machine is said beside the output, and why', async () => {
  const found = [{ path: 'Makefile\u001b[31m', rule: 'build', why: 'builds run it' }] as const;
  const tripwires = { checked: true, reason: null, found, total: 3 };
  const line = await runLine(
    ['exec', 't', '--', 'ls'],
    recording({ exitCode: 0, reason: 'exited', tripwires }).answers,
  );
  const said = line.stderr.split('\n').filter((each) => each.startsWith('opencode-tools:'));
  expect(said).toEqual([
    String.raw`opencode-tools: tripwire build, on this machine already: $'Makefile\u001b[31m': builds run it`,
    'opencode-tools: 2 more tripwires',
  ]);
});

test('a workspace that could not be looked at is said to be one', async () => {
  const tripwires = { checked: false, reason: 'it is gone', found: [], total: 0 };
  const line = await runLine(
    ['exec', 't', '--', 'ls'],
    recording({ exitCode: 0, reason: 'exited', tripwires }).answers,
  );
  expect(line.stderr).toContain('opencode-tools: not looked at for tripwires: it is gone\n');
});

test('with --json there is one document and no live output', async () => {
  const line = await runLine(
    ['exec', 't', '--json', '--script', 'ls'],
    recording({ exitCode: 3, reason: 'exited' }).answers,
  );
  expect(line).toMatchObject({ code: 3, stderr: '' });
  expect(JSON.parse(line.stdout)).toMatchObject({ execution: { exitCode: 3 }, stdout: { text: 'out\n' } });
});

test('secrets are passed on as the places where their values are', async () => {
  const { requests, answers } = recording();
  const given = ['--secret', 'A', '--secret', 'B=env:OTHER', '--secret', 'C=file:/run/c'];
  await runLine(['exec', 't', ...given, '--', 'env'], answers, { environment: { A: 'hunter22' } });
  expect(requests[0]?.options.secrets).toEqual([
    { name: 'A', from: 'env', variable: 'A' },
    { name: 'B', from: 'env', variable: 'OTHER' },
    { name: 'C', from: 'file', path: '/run/c' },
  ]);
});

test('variables come from the environment or the argument, standard input only when asked for', async () => {
  const { requests, answers } = recording();
  const argv = ['exec', 't', '--env', 'TOKEN', '--env', 'MODE=a=b', '--script', 'cat'];
  await runLine([...argv, '--stdin'], answers, { environment: { TOKEN: 'secret' }, input: 'hello' });
  await runLine(argv, answers, { environment: { TOKEN: 'secret' }, input: 'hello' });
  expect(requests[0]?.options).toMatchObject({
    env: { TOKEN: 'secret', MODE: 'a=b' },
    command: { kind: 'script', script: 'cat' },
  });
  expect(Buffer.from(requests[0]?.options.stdin ?? []).toString()).toBe('hello');
  expect(requests[1]?.options).not.toHaveProperty('stdin');
});

test.each([
  [['exec', 't'], 'No command was given'],
  [['exec', 't', '--script', 'ls', '--', 'ls'], '--script and a command cannot be combined'],
  [['exec', 't', '--secret', 'KEY=hunter22', '--', 'ls'], '--secret \\"KEY\\" names no place'],
  [['exec', 't', '--env', 'NOT_SET', '--', 'ls'], '--env \\"NOT_SET\\" is not set in the environment'],
  [['exec', 't', 'ls', '-l'], "Unknown option '-l'"],
])('%j is refused with 125', async (argv, message) => {
  const { requests, answers } = recording();
  const line = await runLine([...argv.slice(0, 2), '--json', ...argv.slice(2)], answers);
  expect(line.code).toBe(125);
  expect(line.stderr).toContain(message);
  expect(requests).toEqual([]);
});

test('the session of the environment is acted under, and its agent is the actor', async () => {
  const { requests, answers } = recording();
  const sessions = { get: async () => ({ id: sessionId, agent: 'build', model: 'm1' }) as never };
  const options = { environment: { OPENCODE_TOOLS_SESSION: sessionId } };
  await runLine(['exec', 't', '--idempotency-key', 'k', '--', 'ls'], { ...answers, sessions }, options);
  expect(requests[0]).toMatchObject({
    options: { sessionId },
    call: {
      idempotencyKey: 'k',
      actor: { kind: 'agent', id: 'build', agent: 'build', model: 'm1', session: sessionId },
    },
  });
});

describe('the exit code', () => {
  test.each([
    [{ exitCode: 0, reason: 'exited', signal: null }, 0],
    [{ exitCode: 7, reason: 'exited', signal: null }, 7],
    [{ exitCode: null, reason: 'signalled', signal: 'SIGKILL' }, 137],
    [{ exitCode: null, reason: 'signalled', signal: 'SIGTERM' }, 143],
    [{ exitCode: null, reason: 'signalled', signal: 'SIGODD' }, 125],
    [{ exitCode: null, reason: 'timeout', signal: 'SIGKILL' }, 124],
    [{ exitCode: null, reason: 'cancelled', signal: 'SIGKILL' }, 130],
    [{ exitCode: null, reason: 'out-of-memory', signal: 'SIGKILL' }, 137],
    [{ exitCode: null, reason: 'fenced', signal: null }, 125],
    [{ exitCode: null, reason: 'sandbox-gone', signal: null }, 125],
    [{ exitCode: null, reason: 'owner-died', signal: null }, 125],
  ] as const)('of %j is %i', (end, code) => {
    expect(exitCodeOf(end)).toBe(code);
  });

  test('that our limits caused is explained', async () => {
    const line = await runLine(['exec', 't', '--', 'ls'], recording({ exitCode: null, reason: 'timeout' }).answers);
    expect(line).toMatchObject({ code: 124, stderr: expect.stringContaining('ended after 5 ms by its time limit') });
  });

  test('by the end of its sandbox is told so, whether that was stopped or removed', async () => {
    const line = await runLine(
      ['exec', 't', '--', 'ls'],
      recording({ exitCode: null, reason: 'sandbox-gone' }).answers,
    );
    expect(line).toMatchObject({ code: 125, stderr: expect.stringContaining('its sandbox was stopped or removed') });
  });

  test('that was interrupted when its process died is told so', async () => {
    const { answers } = recording({ exitCode: null, reason: 'owner-died' });
    const line = await runLine(['exec', 't', '--idempotency-key', 'k', '--', 'ls'], answers);
    expect(line).toMatchObject({ code: 125, stderr: expect.stringContaining('the process that ran it died') });
  });
});

test.each(['agent', 'model', 'session', 'idempotency-key'])(
  '--%s is not empty, as from a variable that is not set',
  async (option) => {
    const line = await runLine(['exec', 't', `--${option}`, '', '--', 'true']);
    expect(line).toMatchObject({ code: 125, opened: [] });
    expect(line.stderr).toContain(`--${option} cannot be ""`);
  },
);
