import { InMemoryTransport, type JSONRPCMessage } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import { createMcpServer } from '../src/index.ts';
import { until } from './connect.ts';
import { scriptedHome, taskId } from './scripted-home.ts';

test('servers for several connections share one home, which closes with the tools', async () => {
  const seen = { opened: 0, closed: 0 };
  const tools = createMcpServer({
    version: '1.2.3',
    open: () => {
      seen.opened += 1;
      return Promise.resolve(
        scriptedHome({
          close: () => {
            seen.closed += 1;
            return Promise.resolve();
          },
        }),
      );
    },
  });
  const callThrough = async () => {
    const [ours, theirs] = InMemoryTransport.createLinkedPair();
    const server = tools.createServer();
    await server.connect(ours);
    const answers: JSONRPCMessage[] = [];
    Object.assign(theirs, { onmessage: (message: JSONRPCMessage) => void answers.push(message) });
    await theirs.start();
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } };
    await theirs.send({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
    const call = { name: 'execute_in_task', arguments: { task_id: taskId, command: 'true' } };
    await theirs.send({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: call });
    await until(() => answers.length === 2);
    await server.close();
    return answers[1];
  };
  const answers = await Promise.all([callThrough(), callThrough()]);
  expect(answers).toMatchObject([
    { result: { structuredContent: { exit_code: 0 } } },
    { result: { structuredContent: { exit_code: 0 } } },
  ]);
  expect(seen).toEqual({ opened: 1, closed: 0 });
  await tools.close();
  await tools.close();
  expect(seen).toEqual({ opened: 1, closed: 1 });
});
