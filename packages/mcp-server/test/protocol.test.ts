import { setImmediate } from 'node:timers/promises';
import { OpencodeToolsError } from '@opencode-tools/core';
import { describe, expect, test } from 'vitest';
import { connect, until } from './connect.ts';
import { executionResult, otherSessionId, scriptedHome, sessionId, taskId } from './scripted-home.ts';

const run = (script: Parameters<typeof scriptedHome>[0]) =>
  connect({ open: () => Promise.resolve(scriptedHome(script)) });
const execute = { name: 'execute_in_task', arguments: { task_id: taskId, command: 'make' } };

test('the server introduces itself before any home is opened', async () => {
  let opened = 0;
  const client = await connect({
    open: () => {
      opened += 1;
      return Promise.resolve(scriptedHome({}));
    },
  });
  expect(client.hello.result).toMatchObject({
    protocolVersion: '2025-11-25',
    serverInfo: { name: 'opencode-tools', version: '1.2.3' },
    capabilities: { tools: { listChanged: false } },
    instructions: expect.stringContaining('session_id') as string,
  });
  await client.request('tools/list');
  expect(opened).toBe(0);
  await Promise.all([
    client.callTool('execute_in_task', execute.arguments),
    client.callTool('execute_in_task', execute.arguments),
  ]);
  expect(opened).toBe(1);
});

test('a home that cannot be opened is an error with its remedy, and the next call tries again', async () => {
  let attempts = 0;
  const client = await connect({
    open: () => {
      attempts += 1;
      if (attempts > 1) return Promise.resolve(scriptedHome({}));
      return Promise.reject(new OpencodeToolsError('OCT_STORE_READ_ONLY', 'The home cannot be written'));
    },
  });
  expect(await client.callTool('execute_in_task', execute.arguments)).toMatchObject({
    isError: true,
    structuredContent: { code: 'OCT_STORE_READ_ONLY', family: 'unavailable' },
  });
  expect((await client.callTool('execute_in_task', execute.arguments)).isError).toBeUndefined();
});

describe('errors', () => {
  test('ours are tool results with message, remedy and the JSON form', async () => {
    const client = await run({});
    const result = await client.callTool('execute_in_task', { task_id: 'nothing', command: 'true' });
    expect(result).toEqual({
      content: [
        {
          type: 'text',
          text: 'OCT_TASK_NOT_FOUND: No task is known by that name\nRemedy: Call list_tasks to see the tasks.',
        },
      ],
      structuredContent: {
        code: 'OCT_TASK_NOT_FOUND',
        family: 'not-found',
        retryable: false,
        message: 'No task is known by that name',
        remedy: 'Call list_tasks to see the tasks.',
        details: {},
      },
      isError: true,
    });
  });

  test.each([
    ['a missing argument', 'execute_in_task', { command: 'true' }, 'task_id'],
    ['an unknown argument', 'execute_in_task', { task_id: taskId, command: 'true', comand: 1 }, 'comand'],
    ['a wrong type', 'execute_in_task', { task_id: taskId, command: 5 }, 'command'],
    ['a number out of range', 'execute_in_task', { task_id: taskId, command: 'true', timeout_ms: 0 }, 'timeout_ms'],
    ['neither command nor argv', 'execute_in_task', { task_id: taskId }, 'command'],
    ['both command and argv', 'execute_in_task', { task_id: taskId, command: 'a', argv: ['a'] }, 'command'],
    ['a malformed session id', 'execute_in_task', { task_id: taskId, command: 'a', session_id: '../x' }, 'session_id'],
    ['a malformed link', 'record_decision', { task_id: taskId, what: 'x', execution_ids: ['y'] }, 'executionId'],
    ['a source kind without a source', 'create_task_sandbox', { title: 'x', source_kind: 'git' }, 'source_kind'],
    [
      'a git ref of a directory',
      'create_task_sandbox',
      { title: 'x', source: '/x', source_kind: 'bind', git_ref: 'y' },
      'git_ref',
    ],
    ['an empty title', 'create_task_sandbox', { title: '' }, 'title'],
  ])('%s is a typed error that names the argument', async (_what, name, args, argument) => {
    const client = await run({});
    const result = await client.callTool(name, args);
    expect(result).toMatchObject({
      isError: true,
      structuredContent: { code: 'OCT_INVALID_ARGUMENT', details: { argument } },
    });
    expect(result.content[0].text).toContain('Remedy: ');
  });

  test('a failure that is not of ours becomes OCT_INTERNAL', async () => {
    const client = await run({ run: () => Promise.reject(new TypeError('x is not a function')) });
    expect(await client.callTool('execute_in_task', execute.arguments)).toMatchObject({
      isError: true,
      structuredContent: { code: 'OCT_INTERNAL' },
    });
  });

  test('handles of other sessions never leave in an error, the own one does', async () => {
    const message = `${otherSessionId} holds the task, not ${sessionId}`;
    const client = await run({
      run: () =>
        Promise.reject(new OpencodeToolsError('OCT_LEASE_HELD', message, { details: { holder: [otherSessionId] } })),
    });
    const result = await client.callTool('execute_in_task', { ...execute.arguments, session_id: sessionId });
    expect(result.content[0].text).toContain(`ses_… holds the task, not ${sessionId}`);
    expect(JSON.stringify(result)).not.toContain(otherSessionId);
    expect(result.content[0].text).toContain('takeover: true');
  });

  test('an unknown tool is an error of the protocol', async () => {
    const client = await run({});
    expect(await client.request('tools/call', { name: 'nope', arguments: {} })).toMatchObject({
      error: { code: -32602 },
    });
  });
});

describe('commands', () => {
  test("a command's failure is a result", async () => {
    const client = await run({ run: () => Promise.resolve(executionResult('', { exitCode: 2 }, 'no rule to make\n')) });
    const result = await client.callTool('execute_in_task', execute.arguments);
    expect(result.isError).toBeUndefined();
    expect(result.structuredContent).toMatchObject({ exit_code: 2, reason: 'exited', stderr: 'no rule to make\n' });
    expect(result.content[0].text).toMatch(/^exit 2 after 1\.2 s \(exe_[0-9a-z]{26}\)\n--- stderr\nno rule to make$/);
  });

  test('a command that was ended says by what', async () => {
    const client = await run({
      run: () => Promise.resolve(executionResult('', { exitCode: null, signal: 'SIGKILL', reason: 'timeout' })),
    });
    const result = await client.callTool('execute_in_task', execute.arguments);
    expect(result.content[0].text).toMatch(/^ended: timeout \(SIGKILL\) after/);
    expect(result.structuredContent).toMatchObject({ signal: 'SIGKILL', reason: 'timeout' });
    expect(result.structuredContent).not.toHaveProperty('exit_code');
  });

  test.each([
    ['many bytes', 'x'.repeat(200_000)],
    ['many lines', '\n'.repeat(20_000)],
    ['invalid bytes', '\ufffd'.repeat(20_000)],
    ['wide characters', '語🙂'.repeat(20_000)],
  ])('text stays under 40 kB and 2,000 lines with %s, and keeps the end', async (_what, output) => {
    const client = await run({
      run: () => Promise.resolve(executionResult(`${output}THE END`, {}, `${output}LAST ERROR`)),
    });
    const result = await client.callTool('execute_in_task', { ...execute.arguments, max_output_bytes: 18_000 });
    const [{ text }] = result.content;
    expect(Buffer.byteLength(text)).toBeLessThan(40_000);
    expect(text.split('\n').length).toBeLessThan(2_000);
    expect(text).toContain('THE END');
    expect(text).toContain('LAST ERROR');
    expect(text).not.toContain('\ufffd'.repeat(20_000));
    expect(result.structuredContent['truncated']).toBe(true);
    expect(text).toMatch(/Output was cut.*read_execution_output/);
  });

  test('who calls is told to the services', async () => {
    const actors: unknown[] = [];
    const client = await run({
      run: (_options, call) => {
        actors.push(call.actor, call.idempotencyKey);
        return Promise.resolve(executionResult(''));
      },
    });
    await client.callTool('execute_in_task', { ...execute.arguments, idempotency_key: 'k' });
    await client.callTool('execute_in_task', { ...execute.arguments, session_id: sessionId });
    expect(actors).toMatchObject([
      { kind: 'agent', agent: 'wire-test', session: null },
      'k',
      { kind: 'agent', agent: 'build', session: sessionId },
      undefined,
    ]);
  });
});

describe('cancelling', () => {
  test('a cancelled call aborts the work and is not answered', async () => {
    const state: { signal?: AbortSignal } = {};
    const client = await run({
      run: (_options, { signal }) =>
        new Promise((_resolve, reject) => {
          if (signal === undefined) throw new Error('no signal');
          state.signal = signal;
          signal.addEventListener('abort', () => reject(new OpencodeToolsError('OCT_CANCELLED', 'Cancelled')));
        }),
    });
    const id = client.start('tools/call', execute);
    await until(() => state.signal);
    client.send({ method: 'notifications/cancelled', params: { requestId: id, reason: 'enough' } });
    await until(() => state.signal?.aborted);
    await client.request('ping');
    expect(client.received.filter((message) => message.id === id)).toEqual([]);
  });

  test('cancelling a finished call, or one that never was, changes nothing', async () => {
    const client = await run({});
    const id = client.start('tools/call', execute);
    await client.answerTo(id);
    const reason = 'AbortError: The operation was aborted.';
    client.send({ method: 'notifications/cancelled', params: { requestId: id, reason } });
    client.send({ method: 'notifications/cancelled', params: { requestId: 4_711, reason } });
    expect((await client.callTool('execute_in_task', execute.arguments)).isError).toBeUndefined();
  });

  test('the end of input aborts what is under way, and the home closes when that is recorded', async () => {
    const events: string[] = [];
    const client = await run({
      run: async (_options, { signal }) => {
        await new Promise((resolve) => signal?.addEventListener('abort', resolve));
        events.push('aborted');
        await setImmediate();
        events.push('recorded');
        throw new OpencodeToolsError('OCT_CANCELLED', 'Cancelled');
      },
      close: () => {
        events.push('closed');
        return Promise.resolve();
      },
    });
    client.start('tools/call', execute);
    await client.request('ping');
    client.stdin.end();
    await client.connection.closed;
    expect(events).toEqual(['aborted', 'recorded', 'closed']);
  });
});

describe('progress', () => {
  const chatter = async (token?: string) => {
    const client = await run({
      run: async ({ onOutput }, { onProgress }) => {
        onProgress?.('making the sandbox');
        for (let index = 0; index < 50; index += 1) await onOutput?.('stdout', Buffer.alloc(1_000));
        await setImmediate();
        return executionResult('');
      },
    });
    const meta = token === undefined ? {} : { _meta: { progressToken: token } };
    await client.answerTo(client.start('tools/call', { ...execute, ...meta }));
    return client.received.filter(({ method }) => method === 'notifications/progress').map(({ params }) => params);
  };

  test('is sent at once to a client that asked for it, and not for every chunk', async () => {
    const sent = await chatter('p');
    expect(sent).toEqual([{ progressToken: 'p', progress: 1, message: 'making the sandbox (0 s)' }]);
  });

  test('is not sent to a client that did not ask', async () => {
    expect(await chatter()).toEqual([]);
  });
});

describe('heartbeats', () => {
  const attach = { task_id: taskId, agent: 'build' };

  test('a session attached here is renewed until it is lost', async () => {
    const renewed: string[] = [];
    const client = await run({
      attach: () => Promise.resolve({ ttlMs: 600 }),
      renew: (id) => {
        renewed.push(id);
        return Promise.reject(new OpencodeToolsError('OCT_LEASE_LOST', 'Gone'));
      },
    });
    await client.callTool('attach_agent_to_task', attach);
    await until(() => renewed.length > 0);
    expect(renewed).toEqual([sessionId]);
  });
});

test('what a command changed on the host is in the text of its answer, and of waiting for one in the background', async () => {
  const found = [{ path: '.mcp.json', rule: 'agent', why: 'agents take servers from it' }] as const;
  const result = executionResult('out', { tripwires: { checked: true, reason: null, found, total: 1 } });
  const client = await run({ run: async () => result, wait: async () => result.execution });
  const line = "Tripwires, changes on the user's machine that may run there or steer agents: .mcp.json (agent)\n";
  const calls = [
    ['execute_in_task', { task_id: taskId, command: 'true' }],
    ['control_execution', { execution_id: result.execution.id, action: 'wait' }],
  ] as const;
  for (const [name, input] of calls) {
    const { content } = await client.callTool(name, input);
    expect(`${content[0].text}\n`).toContain(line);
  }
});

test('a signal has the name that kill gives it, or that of the system', async () => {
  const sent: string[] = [];
  const client = await run({ signal: (name) => void sent.push(name) });
  const signal = async (name: string) =>
    client.callTool('control_execution', {
      execution_id: executionResult('').execution.id,
      action: 'signal',
      signal: name,
    });
  for (const name of ['SIGINT', 'INT', 'KILL', 'USR1']) expect(await signal(name)).not.toHaveProperty('isError', true);
  expect(sent).toEqual(['SIGINT', 'SIGINT', 'SIGKILL', 'SIGUSR1']);
  expect(await signal('9;reboot')).toMatchObject({
    isError: true,
    structuredContent: { code: 'OCT_INVALID_ARGUMENT' },
  });
});

test('what is found in the memory of a task has no handles of sessions, and steers no terminal', async () => {
  const at = '2026-11-20T08:00:00.000Z';
  const excerpt = `opencode-tools exec --session ${otherSessionId} \u001b[31mred`;
  const hit = { kind: 'message', id: 'msg_0000000000000000000000000a', at, by: 'tool', excerpt } as const;
  const client = await run({ search: async () => ({ hits: [hit], more: true }) });
  const result = await client.callTool('search_task_memory', { task_id: taskId, text: 'red' });
  expect(result.content[0].text).toBe(
    `message ${hit.id} ${at} by tool: opencode-tools exec --session ses_… red\nThere is more; name more words, or a higher limit.`,
  );
  expect(result.structuredContent).toMatchObject({
    hits: [{ ...hit, excerpt: expect.any(String) as string }],
    more: true,
  });
  expect(JSON.stringify(result)).not.toContain(otherSessionId);
});

test('a task that was created but could not be attached is named in the error', async () => {
  const client = await run({
    attach: () => Promise.reject(new OpencodeToolsError('OCT_ENGINE_UNAVAILABLE', 'No engine.')),
  });
  expect(await client.callTool('create_task_sandbox', { title: 'x', agent: 'build' })).toMatchObject({
    isError: true,
    structuredContent: {
      code: 'OCT_ENGINE_UNAVAILABLE',
      message: `Task ${taskId} was created, but attaching to it failed. No engine.`,
      details: { taskId },
    },
  });
});

test('a message of more than 10 MB is answered with an error, and the connection lives on', async () => {
  const client = await run({});
  const long = client.start('tools/call', { name: 'list_tasks', arguments: { text: 'x'.repeat(10 * 1024 ** 2) } });
  expect((await client.answerTo(long)).error).toMatchObject({
    code: -32_600,
    message: expect.stringContaining('at most 10485760 are read') as string,
  });
  const script = 'x'.repeat(9 * 1024 ** 2);
  const refused = await client.callTool('execute_in_task', { task_id: taskId, command: script });
  expect(refused.structuredContent).toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
  expect((await client.callTool('execute_in_task', execute.arguments)).isError).toBeUndefined();
});

test('a line that is no message is answered with an error, and the connection lives on', async () => {
  const client = await run({});
  client.stdin.write('not json\n');
  client.stdin.write('{"jsonrpc":"2.0","id":"odd","method":"tools/call","params":[]}\n');
  const answers = await until(() => client.received.length >= 3 && client.received.slice(-2));
  expect(answers).toEqual([
    { jsonrpc: '2.0', id: null, error: { code: -32_700, message: expect.stringContaining('not JSON') as string } },
    { jsonrpc: '2.0', id: 'odd', error: { code: -32_600, message: expect.stringContaining('object') as string } },
  ]);
  expect((await client.callTool('execute_in_task', execute.arguments)).isError).toBeUndefined();
});
