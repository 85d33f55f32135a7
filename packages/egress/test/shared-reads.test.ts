import { once } from 'node:events';
import { Agent, type IncomingMessage, type RequestListener, createServer, request } from 'node:http';
import { Agent as TlsAgent, createServer as createTlsServer, request as requestByTls } from 'node:https';
import { type Server, createServer as createConnectionServer } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { createAuthority, createLeaf } from '../src/gateway/certificates.ts';
import { readIntoSharedMemory } from '../src/gateway/shared-reads.ts';

const host = '127.0.0.1';

async function portOf(server: Server): Promise<number> {
  server.listen(0, host);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as { port: number }).port;
}

/** Bytes of which a part that is not of this answer, or elsewhere in it, is no part. */
function someBytes(seed: number, length: number): Buffer {
  return Buffer.alloc(length, `answer ${seed}, `);
}

const answer: RequestListener = ({ url }, response) => {
  response.end(someBytes(Number(url?.slice(1)), 1_000_000 + Number(url?.slice(1))));
};

/** Reads slowly, so that the connection is stopped and goes on many times. */
async function bodyOf(incoming: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of incoming) {
    pieces.push(piece as Buffer);
    await nextTurn();
  }
  return Buffer.concat(pieces);
}

function sharing<A extends Agent>(agent: A): A {
  readIntoSharedMemory(agent);
  onTestFinished(() => agent.destroy());
  return agent;
}

test.for(['HTTP', 'TLS'])('answers over %s arrive byte for byte, many at once and one after another', async (over) => {
  const { certificate: ca, key } = createAuthority('Test', Date.now());
  const leaf = createLeaf(host, { certificate: ca, key }, Date.now());
  const tls = over === 'TLS';
  const server = tls ? createTlsServer({ cert: leaf.certificate, key: leaf.key }, answer) : createServer(answer);
  const port = await portOf(server);
  const agent = tls ? sharing(new TlsAgent({ keepAlive: true, ca })) : sharing(new Agent({ keepAlive: true }));
  const memories = new Set<ArrayBufferLike>();
  const ask = async (seed: number): Promise<Buffer> => {
    const outgoing = (tls ? requestByTls : request)({ host, port, path: `/${seed}`, agent });
    outgoing.once('socket', (socket) => socket.on('data', (bytes: Buffer) => memories.add(bytes.buffer)));
    const [incoming] = (await once(outgoing.end(), 'response')) as [IncomingMessage];
    return bodyOf(incoming);
  };
  for (const round of [0, 1]) {
    const seeds = Array.from({ length: 8 }, (_, index) => round * 8 + index);
    const bodies = await Promise.all(seeds.map(ask));
    for (const [index, seed] of seeds.entries())
      expect(bodies[index]?.equals(someBytes(seed, 1_000_000 + seed))).toBe(true);
  }
  expect(memories.size).toBe(1);
});

test('an answer that nobody asked for ends the connection, and is not that of the next request', async () => {
  const say = (body: string): string => `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const agent = sharing(new Agent({ keepAlive: true }));
  let connections = 0;
  const server = createConnectionServer((socket) => {
    const own = (connections += 1);
    socket.on('error', () => undefined);
    socket.on('data', () => socket.write(say(`asked ${own}`)));
    if (own === 1) agent.once('free', () => socket.write(say('planted')));
  });
  const port = await portOf(server);
  const ask = async (): Promise<string> => {
    const outgoing = request({ host, port, agent });
    const [incoming] = (await once(outgoing.end(), 'response')) as [IncomingMessage];
    return (await bodyOf(incoming)).toString();
  };
  expect(await ask()).toBe('asked 1');
  const [idle] = Object.values(agent.freeSockets).flatMap((sockets) => sockets ?? []);
  if (idle !== undefined) await once(idle, 'close');
  expect(await ask()).toBe('asked 2');
});
