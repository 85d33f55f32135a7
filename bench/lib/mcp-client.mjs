import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A client of the Model Context Protocol over stdio, as far as calling tools goes: one JSON document per line. */
export async function startMcpServer(bin, options) {
  const child = spawn(process.execPath, [bin], { ...options, stdio: ['pipe', 'pipe', 'inherit'] });
  const waiting = new Map();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message = JSON.parse(line);
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  });
  let last = 0;
  const send = (message) => child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  const request = (method, params) => {
    last += 1;
    const id = last;
    const answered = new Promise((resolve) => waiting.set(id, resolve));
    send({ id, method, params });
    return answered;
  };
  const clientInfo = { name: 'bench', version: '1' };
  await request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
  send({ method: 'notifications/initialized' });
  return {
    /** Calls a tool; gives its structured content, and whether it is an error. */
    async call(name, args) {
      const { result, error } = await request('tools/call', { name, arguments: args });
      if (error !== undefined)
        return { isError: true, content: { code: `protocol ${error.code}`, message: error.message } };
      return { isError: result.isError === true, content: result.structuredContent };
    },
    async close() {
      const exited = once(child, 'exit');
      child.stdin.end();
      await exited;
    },
  };
}
