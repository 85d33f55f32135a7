import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { type Socket, connect as connectPlainly, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EphemeralKeyInfo, connect } from 'node:tls';
import { until } from '@opencode-tools/testkit';
import { expect, onTestFinished, test } from 'vitest';
import { createAuthority } from '../src/gateway/certificates.ts';
import { collectOften } from '../src/gateway/collect-often.ts';
import { Gateway } from '../src/gateway/gateway.ts';
import { readInPieces } from '../src/gateway/read-in-pieces.ts';
import { policy, rule } from './fixtures.ts';

const gatewayAddress = '127.31.9.1';
const host = '127.31.9.2';

test('a client and the gateway agree by curves whose keys are small', async () => {
  const root = await mkdtemp(join(tmpdir(), 'oct-egress-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  for (const name of ['policies', 'authority', 'out']) await mkdir(join(root, name));
  const { certificate, key } = createAuthority('Gateway', Date.now());
  const network = policy(rule(host, { terminate: true }));
  const content = {
    v: 1,
    taskId: 'one',
    gatewayAddress,
    sandboxAddress: '127.0.0.1',
    network,
    version: 1,
    digest: '1',
  };
  await writeFile(join(root, 'authority/certificate.pem'), certificate);
  await writeFile(join(root, 'authority/key.pem'), key);
  await writeFile(join(root, 'settings.json'), JSON.stringify({ v: 1, nameServers: [], upstreamAuthorities: '' }));
  await writeFile(join(root, 'policies/one.json'), JSON.stringify(content));
  const gateway = new Gateway(root);
  onTestFinished(() => gateway.stop());
  await gateway.run();

  const asked = request({ host: gatewayAddress, port: 3128, method: 'CONNECT', path: `${host}:443` }).end();
  const [answer, socket] = (await once(asked, 'connect')) as [IncomingMessage, Socket];
  expect(answer.statusCode).toBe(200);
  const secure = connect({ socket, host, ca: certificate });
  onTestFinished(() => void secure.destroy());
  await once(secure, 'secureConnect');
  expect((secure.getEphemeralKeyInfo() as EphemeralKeyInfo).name).toBe('X25519');
});

test('what a socket holds is read in pieces, and what comes later as it comes', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connectPlainly((server.address() as { port: number }).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  onTestFinished(() => {
    client.destroy();
    server.close();
  });
  const sent = Buffer.from(Uint8Array.from({ length: 2_500 }, (_, index) => index & 255));
  client.write(sent);
  await until(() => (socket.read(0), socket.readableLength === sent.length));
  readInPieces(socket);
  const pieces: Buffer[] = [];
  for (let piece; (piece = socket.read() as Buffer | null) !== null;) pieces.push(piece);
  expect(pieces.map(({ length }) => length)).toEqual([1_000, 1_000, 500]);
  expect(Buffer.concat(pieces).equals(sent)).toBe(true);
  client.end('rest');
  await until(() => (socket.read(0), socket.readableLength === 4));
  expect((socket.read() as Buffer).toString()).toBe('rest');
});

test('what is left over is collected while there is something to do', async () => {
  let collections = 0;
  const stop = collectOften(() => (collections += 1));
  onTestFinished(stop);
  await until(() => {
    for (const until = performance.now() + 50; performance.now() < until;);
    return collections > 1;
  });
  expect(collections).toBeGreaterThan(1);
});
