import { PassThrough } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { type McpServerOptions, serveMcpStdio } from '../src/index.ts';

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: Readonly<Record<string, unknown>>;
}

export interface ToolResult {
  readonly content: readonly [{ readonly type: 'text'; readonly text: string }];
  readonly structuredContent: Readonly<Record<string, unknown>>;
  readonly isError?: boolean;
}

/** Speaks the wire format of the 2025 protocol to a server in this process, message by message. */
export async function connect(options: Omit<McpServerOptions, 'version'>) {
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  const connection = serveMcpStdio({ ...options, version: '1.2.3', stdin, stdout });
  onTestFinished(() => connection.close());
  const received: Message[] = [];
  let rest = '';
  stdout.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    received.push(...lines.map((line) => JSON.parse(line) as Message));
  });
  const send = (message: object) => void stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  let nextId = 0;
  const start = (method: string, params: object = {}) => {
    nextId += 1;
    send({ id: nextId, method, params });
    return nextId;
  };
  const answerTo = async (id: number) => until(() => received.find((message) => message.id === id));
  const request = (method: string, params: object = {}) => answerTo(start(method, params));
  const clientInfo = { name: 'wire-test', version: '1' };
  const hello = await request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
  send({ method: 'notifications/initialized' });
  const callTool = async (name: string, args: object): Promise<ToolResult> => {
    const { result } = await request('tools/call', { name, arguments: args });
    return result as unknown as ToolResult;
  };
  return { connection, stdin, received, send, start, answerTo, request, callTool, hello };
}

/** Waits until a condition holds, at most 10 s. */
export async function until<T>(condition: () => T | undefined | false): Promise<T> {
  const deadline = Date.now() + 10_000;
  while (Date.now() < deadline) {
    const value = condition();
    if (value !== undefined && value !== false) return value;
    await delay(5);
  }
  throw new Error('The condition did not hold within 10 s');
}
