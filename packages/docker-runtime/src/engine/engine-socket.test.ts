import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { type Server, request } from 'node:http';
import { type Socket, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EngineAgent, takeBytes } from './engine-socket.ts';

const accepted = 'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n';
const output = randomBytes(3_000_000);

let directory: string;
let server: Server | undefined;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'oct-engine-socket-'));
});
afterEach(() => {
  server?.close();
  rmSync(directory, { recursive: true });
});

/** Answers a request for a connection in a first packet that holds as many bytes of the output as are asked for. */
async function connect(withAnswer: number, agent = new EngineAgent()): Promise<Socket> {
  const socketPath = join(directory, 'engine.sock');
  server = createServer((socket) => {
    // Whoever has seen enough goes.
    socket
      .on('error', () => undefined)
      .once('data', () => {
        socket.write(Buffer.concat([Buffer.from(accepted), output.subarray(0, withAnswer)]));
        socket.end(output.subarray(withAnswer));
      });
  }) as Server;
  await new Promise<void>((resolve) => server?.listen(socketPath, resolve));
  const headers = { connection: 'Upgrade', upgrade: 'tcp' };
  return new Promise((resolve, reject) => {
    request({ agent, socketPath, method: 'POST', path: '/', headers })
      .on('upgrade', (_answer, socket: Socket, head: Buffer) => {
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
      })
      .on('error', reject)
      .end();
  });
}

describe('a connection to an engine', () => {
  test.each([0, 1, 1_000, 100_000])('gives its taker all that comes, %i bytes with the answer', async (withAnswer) => {
    const socket = await connect(withAnswer);
    const taken: Buffer[] = [];
    takeBytes(socket, (bytes) => void taken.push(Buffer.from(bytes)));
    await new Promise((resolve) => socket.once('end', resolve));
    expect(Buffer.concat(taken).equals(output)).toBe(true);
  });

  test('reads into the same memory for its taker each time', async () => {
    const socket = await connect(0);
    const memories = new Set<ArrayBufferLike>();
    takeBytes(socket, (bytes) => void memories.add(bytes.buffer));
    await new Promise((resolve) => socket.once('end', resolve));
    expect(memories.size).toBeLessThanOrEqual(2);
  });

  test('gives chunks to keep to whoever reads it as a stream, no faster than they are read', async () => {
    const socket = await connect(1_000);
    await nextTurn();
    const chunks: Buffer[] = [];
    for await (const chunk of socket) {
      chunks.push(chunk as Buffer);
      expect(socket.readableLength).toBeLessThan(1_000_000);
      await nextTurn();
    }
    expect(Buffer.concat(chunks).equals(output)).toBe(true);
  });

  test('gives its taker nothing while it is paused', async () => {
    const socket = await connect(0);
    let bytes = 0;
    const paused = new Promise<void>((resolve) => {
      takeBytes(socket, (chunk) => {
        const before = bytes;
        bytes += chunk.length;
        if (before > 1_000_000 || bytes <= 1_000_000) return;
        socket.pause();
        resolve();
      });
    });
    await paused;
    const before = bytes;
    for (let turn = 0; turn < 20; turn += 1) await nextTurn();
    expect(bytes).toBe(before);
    const over = new Promise((resolve) => socket.once('end', resolve));
    socket.resume();
    await over;
    expect(bytes).toBe(output.length);
  });

  test('is not written down in full with the options of a request', async () => {
    const agent = new EngineAgent();
    const socket = await connect(0, agent);
    expect(inspect({ agent }, { showHidden: true, depth: null }).length).toBeLessThan(100);
    socket.destroy();
  });
});
