import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type ClientRequest, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { until } from '@opencode-tools/testkit';
import { beforeAll, afterAll, expect, test } from 'vitest';
import { createAuthority, createLeaf } from '../src/gateway/certificates.ts';
import { Gateway } from '../src/gateway/gateway.ts';
import { policy, rule } from './fixtures.ts';

const gatewayAddress = '127.31.10.1';
const host = '127.31.10.2';
const value = 'injected-7d1f0c55ab93';
const stars = '*'.repeat(value.length);
const authorities = { gateway: createAuthority('Gateway', Date.now()), server: createAuthority('Server', Date.now()) };

let root: string;
let port: number;
let gateway: Gateway;
const ended: (() => void)[] = [];

/** It says what it was asked, in several ways. */
const server = createServer((asked, answer) => {
  const { authorization = '-', 'accept-encoding': accepted = '-' } = asked.headers;
  answer.setHeader('set-cookie', [`seen=${authorization}`, 'other=1']);
  answer.setHeader('x-seen', encodeURIComponent(authorization));
  const said = JSON.stringify({ method: asked.method, url: asked.url, authorization, accepted });
  if (asked.url === '/compressed') answer.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(said));
  else if (asked.url === '/redirect') answer.writeHead(302, { location: `https://${host}:1/` }).end();
  else {
    answer.writeHead(200, authorization, { 'content-length': String(said.length) });
    const at = said.indexOf(value) + 5;
    answer.write(said.slice(0, at));
    setImmediate(() => answer.end(said.slice(at)));
  }
});

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'oct-egress-'));
  for (const name of ['policies', 'authority', 'out']) await mkdir(join(root, name));
  const { certificate: cert, key } = createLeaf(host, authorities.server, Date.now());
  server.setSecureContext({ cert, key });
  await new Promise<void>((resolve) => server.listen({ host, port: 0 }, resolve));
  port = (server.address() as AddressInfo).port;
  const secret = { from: 'env', variable: 'TOKEN' } as const;
  const inject = [{ header: 'authorization', prefix: 'Bearer ', secret }];
  const network = policy(rule(host, { ports: [port], terminate: true, inject }));
  const content = { v: 1, taskId: 'one', gatewayAddress, sandboxAddress: '127.0.0.1', network, version: 1 };
  await writeFile(join(root, 'authority/certificate.pem'), authorities.gateway.certificate);
  await writeFile(join(root, 'authority/key.pem'), authorities.gateway.key);
  const settings = { v: 1, nameServers: [], upstreamAuthorities: authorities.server.certificate };
  await writeFile(join(root, 'settings.json'), JSON.stringify(settings));
  await writeFile(join(root, 'policies/one.json'), JSON.stringify({ ...content, digest: '1' }));
  gateway = new Gateway(root);
  await gateway.run();
  gateway.takeSecrets({ one: { values: { 'only authorization': value }, mark: 'first' } });
});
afterAll(async () => {
  for (const end of ended) end();
  gateway.stop();
  server.close();
  await rm(root, { recursive: true, force: true });
});

/** Asks through the gateway, with headers of the client's own. */
async function ask(path: string, options: RequestOptions = {}): Promise<IncomingMessage> {
  const tunnel = request({ host: gatewayAddress, port: 3128, method: 'CONNECT', path: `${host}:${port}` }).end();
  const [, socket] = (await once(tunnel, 'connect')) as [IncomingMessage, Socket];
  const secure = connect({ socket, host, ca: authorities.gateway.certificate });
  ended.push(() => void secure.destroy());
  const sent: ClientRequest = request({ host, port, path, createConnection: () => secure, ...options }).end();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  return answer;
}

test('what a server says back of a header that is set for it has stars in its place', async () => {
  const answer = await ask('/', { headers: { 'accept-encoding': 'gzip', authorization: 'mine' } });
  expect(answer.statusMessage).toBe(`Bearer ${stars}`);
  expect(answer.headers['set-cookie']).toEqual([`seen=Bearer ${stars}`, 'other=1']);
  expect(answer.headers['x-seen']).toBe(`Bearer%20${stars}`);
  expect(JSON.parse(await text(answer))).toEqual({
    method: 'GET',
    url: '/',
    authorization: `Bearer ${stars}`,
    accepted: 'identity',
  });
});

test('a body that a server compresses unasked comes as it is', async () => {
  const answer = await ask('/compressed');
  expect(answer.headers['set-cookie']?.[0]).toBe(`seen=Bearer ${stars}`);
  let bytes = 0;
  for await (const chunk of answer) bytes += (chunk as Buffer).length;
  expect(bytes).toBeGreaterThan(20);
});

test('a redirect is for the client to follow', async () => {
  const answer = await ask('/redirect');
  expect([answer.statusCode, answer.headers.location]).toEqual([302, `https://${host}:1/`]);
});

test('another value replaces the first, which is hidden as before', async () => {
  const other = 'injected-of-another-day';
  gateway.takeSecrets({ one: { values: { 'only authorization': other }, mark: 'second' } });
  const answer = await ask(`/?${value}`);
  expect(answer.statusMessage).toBe(`Bearer ${'*'.repeat(other.length)}`);
  expect(JSON.parse(await text(answer))).toMatchObject({ url: `/?${stars}` });
  expect(gateway.valuesOf('one')).toEqual({ 'only authorization': other });
  gateway.takeSecrets({ one: { values: { 'only authorization': value }, mark: 'first' } });
});

test.each([
  ['trace', { method: 'TRACE' }],
  ['upgrade', { headers: { connection: 'Upgrade', upgrade: 'websocket' } }],
] as const)('what is refused by %s is told with the way to ask, and logged', async (name, options) => {
  const answer = await ask('/', options);
  expect([answer.statusCode, answer.headers['x-opencode-tools-rule']]).toEqual([403, name]);
  const said = await text(answer);
  expect(said).toMatch(new RegExp(`^Denied by ${name}: ${host}:${port}, because .*To get it, `));
  await until(async () => (await readFile(join(root, 'out/log/one.jsonl'), 'utf8')).includes(`"rule":"${name}"`));
});
