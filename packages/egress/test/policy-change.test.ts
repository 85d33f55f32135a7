import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { type Socket, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NetworkSpec } from '@opencode-tools/core';
import { until } from '@opencode-tools/testkit';
import { expect, onTestFinished, test } from 'vitest';
import { createAuthority } from '../src/gateway/certificates.ts';
import { dnsCodes, readQuestion, writeAnswer } from '../src/gateway/dns-message.ts';
import { Gateway, type GatewayStatus } from '../src/gateway/gateway.ts';
import { policy, rule } from './fixtures.ts';

const addresses = { gatewayAddress: '127.31.10.1', sandboxAddress: '127.0.0.1' };
const serverAddress = '127.31.10.2';
const name = 'slow.test';

/** A name server that answers once it is told to. */
async function slowNames() {
  const socket = createSocket('udp4');
  onTestFinished(() => void socket.close());
  const waiting: (() => void)[] = [];
  socket.on('message', (message, from) => {
    const question = readQuestion(message);
    if (question === undefined) return;
    waiting.push(() => socket.send(writeAnswer(question, dnsCodes.ok, serverAddress), from.port, from.address));
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    server: `127.0.0.1:${socket.address().port}`,
    asked: () => waiting.length > 0,
    answer: () => waiting.splice(0).forEach((one) => one()),
  };
}

test.for(['HTTP', 'CONNECT'])('a policy that forbids a host counts for %s that is being opened', async (kind) => {
  const root = await mkdtemp(join(tmpdir(), 'oct-egress-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  for (const folder of ['policies', 'authority', 'out']) await mkdir(join(root, folder));
  const names = await slowNames();
  let reached = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    reached += 1;
    sockets.add(socket.on('error', () => undefined));
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  });
  server.listen(0, serverAddress);
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as { port: number };
  const put = async (network: NetworkSpec, digest: string): Promise<void> => {
    const content = { v: 1, taskId: 'one', ...addresses, network, version: 1, digest };
    await writeFile(join(root, 'new'), JSON.stringify(content));
    await rename(join(root, 'new'), join(root, 'policies/one.json'));
    await until(async () => {
      const text = await readFile(join(root, 'out/status.json'), 'utf8').catch(() => '{"tasks":{}}');
      return (JSON.parse(text) as GatewayStatus).tasks['one']?.digest === digest;
    });
  };
  const { certificate, key } = createAuthority('Gateway', Date.now());
  await writeFile(join(root, 'authority/certificate.pem'), certificate);
  await writeFile(join(root, 'authority/key.pem'), key);
  const settings = { v: 1, nameServers: [names.server], upstreamAuthorities: '' };
  await writeFile(join(root, 'settings.json'), JSON.stringify(settings));
  const gateway = new Gateway(root);
  onTestFinished(() => gateway.stop());
  await gateway.run();
  const direct = rule(serverAddress, { name: 'direct', ports: [port] });
  await put(policy(rule(name, { ports: [port] }), direct), '1');

  const proxy = { host: addresses.gatewayAddress, port: 3128, agent: false } as const;
  const connecting = { ...proxy, method: 'CONNECT', path: `${name}:${port}` };
  const plain = { ...proxy, path: `http://${name}:${port}/`, headers: { host: `${name}:${port}` } };
  const asked = request(kind === 'HTTP' ? plain : connecting).end();
  const answered = once(asked, kind === 'HTTP' ? 'response' : 'connect') as Promise<[IncomingMessage]>;
  await until(names.asked);
  await put(policy(direct), '2');
  names.answer();
  const [{ statusCode }] = await answered;
  asked.destroy();
  expect({ statusCode, reached }).toEqual({ statusCode: 403, reached: 0 });
});
