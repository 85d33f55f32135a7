import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Client as EarlierClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as EarlierTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { describeTools } from '@opencode-tools/mcp-server';
import { describe, expect, onTestFinished, test } from 'vitest';
import { connect, eras, launcher, shorten, temporaryHome } from './support.ts';

const toolNames = describeTools().map(({ name }) => name);
const missing = { task_id: 'tsk_00000000000000000000000000' };

describe.each(Object.keys(eras) as (keyof typeof eras)[])('a client that speaks %s', (era) => {
  test('lists the tools, gets results, and gets our errors through its own checks', async () => {
    const { client, call } = await connect(await temporaryHome(), era);
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(toolNames);
    expect(await call('list_tasks', {})).toEqual({ text: 'No tasks.', data: { tasks: [] }, isError: false });
    expect(await call('get_task_status', missing)).toMatchObject({
      isError: true,
      data: { code: 'OCT_TASK_NOT_FOUND', remedy: 'Call list_tasks to see the tasks.' },
    });
    expect(await call('list_tasks', { limit: 1_000 })).toMatchObject({
      isError: true,
      data: { code: 'OCT_INVALID_ARGUMENT', details: { argument: 'limit' } },
    });
  });
});

test('a client of the 1.x line lists the tools, gets results, and gets our errors through its own checks', async () => {
  const client = new EarlierClient({ name: 'earlier', version: '1' });
  onTestFinished(() => client.close());
  const args = [launcher, '--home', await temporaryHome()];
  await client.connect(new EarlierTransport({ command: process.execPath, args }));
  expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(toolNames);
  expect(shorten(await client.callTool({ name: 'list_tasks', arguments: {} })).text).toBe('No tasks.');
  const failed = shorten(await client.callTool({ name: 'get_task_status', arguments: missing }));
  expect(failed).toMatchObject({ isError: true, data: { code: 'OCT_TASK_NOT_FOUND' } });
});

test('a home that cannot be made is an error of the call, not of the connection', async () => {
  const home = await temporaryHome();
  await writeFile(home, 'a file');
  const { client, call } = await connect(home);
  const result = await call('list_tasks', {});
  expect(result.isError).toBe(true);
  expect(result.data['code']).toMatch(/^OCT_(?!INTERNAL)/);
  expect((await client.listTools()).tools).toHaveLength(toolNames.length);
});

test('what libraries print never gets between the messages', async () => {
  const noise =
    'data:text/javascript,setInterval(() => { console.log("noise"); process.stdout.write("more") }, 1).unref()';
  const child = spawn(process.execPath, ['--import', noise, launcher, '--home', await temporaryHome()]);
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } };
  const messages = [
    { id: 1, method: 'initialize', params },
    { method: 'notifications/initialized' },
    { id: 2, method: 'tools/call', params: { name: 'list_tasks', arguments: {} } },
  ];
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  for (const message of messages) child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  const ids: unknown[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    ids.push((JSON.parse(line) as { readonly id: unknown }).id);
    if (ids.length === 2) child.stdin.end();
  }
  expect(ids).toEqual([1, 2]);
  expect(stderr).toContain('noise');
});

test.each(['stdin', 'SIGTERM', 'SIGINT'] as const)('the process is gone after %s', async (how) => {
  const child = spawn(process.execPath, [launcher, '--home', await temporaryHome()], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } };
  child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params })}\n`);
  child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })}\n`);
  const call = { name: 'list_tasks', arguments: {} };
  child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: call })}\n`);
  for await (const line of createInterface({ input: child.stdout })) {
    if ((JSON.parse(line) as { readonly id: unknown }).id === 2) break;
  }
  if (how === 'stdin') child.stdin.end();
  else child.kill(how);
  const [code] = (await once(child, 'exit')) as [number | null];
  expect(code).toBe(0);
});
