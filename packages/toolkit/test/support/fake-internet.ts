import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { until } from '@opencode-tools/testkit';
import { createAuthority, createLeaf } from '../../../egress/src/gateway/certificates.ts';
import type { TestHome } from './test-home.ts';

/** What every server of the fake internet says: whoever sees it has reached one. */
export const marker = 'SERVER-REACHED';

/** The names that its servers have certificates for. */
const named = ['allowed.test', 'evil.test', 'term.test', 'a.wild.test'];

/** Servers on this machine under addresses that look public, and name servers that know them. */
export interface FakeInternet {
  readonly address: string;
  /** PEM of the authority that the servers' certificates are from. */
  readonly authority: string;
  /** For `openHome`: the gateway asks these name servers and believes that authority. */
  readonly environment: Readonly<Record<string, string>>;
  /** Lets the gateway of a home reach it. */
  connect(gateway: string): Promise<void>;
  /** What the servers were asked: `dns <name>` and `http <host> <url> <authorization>`. */
  seen(): Promise<string>;
  close(): Promise<void>;
}

const program = `
const { certificates, address, marker, wrong } = JSON.parse(process.env.FAKE);
const dgram = require('node:dgram'), http = require('node:http'), https = require('node:https');
const asked = new Map();
const say = (line) => console.log(line);
const bytes = (text) => Buffer.from(text.split('.').map(Number));
dgram.createSocket('udp4').on('message', function (message, from) {
  let at = 12; const labels = [];
  while (message[at]) { labels.push(message.toString('latin1', at + 1, at + 1 + message[at])); at += 1 + message[at]; }
  const name = labels.join('.').toLowerCase(); say('dns ' + name);
  const a = message.readUInt16BE(at + 1) === 1;
  if (a) asked.set(name, (asked.get(name) ?? 0) + 1);
  const target = name === 'rebind.test' && asked.get(name) % 2 === 0 ? '10.0.0.1' : wrong[name] ?? address;
  const head = Buffer.from(message.subarray(0, 12)); head.writeUInt16BE(0x8180, 2); head.writeUInt16BE(a ? 1 : 0, 6); head.writeUInt32BE(0, 8);
  const answer = Buffer.concat([Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]), bytes(target)]);
  this.send(Buffer.concat([head, message.subarray(12, at + 5), ...(a ? [answer] : [])]), from.port, from.address);
}).bind(53);
const serve = (request, response) => {
  say(['http', request.headers.host, request.url, request.headers.authorization ?? '-'].join(' '));
  if (request.url === '/redirect') return response.writeHead(302, { location: 'http://evil.test/' }).end();
  const said = marker + ' ' + request.headers.authorization + '\\n';
  if (request.url === '/echo') return response.end(said);
  if (request.url === '/encoded') return response.writeHead(200, { 'content-encoding': 'x-none' }).end(said);
  response.end(marker + '\\n');
};
for (const port of [80, 8080]) http.createServer(serve).listen(port);
const contexts = new Map(certificates.map(([name, pair]) => [name, require('node:tls').createSecureContext(pair)]));
https.createServer({ SNICallback: (name, done) => done(null, contexts.get(name)) }, serve).listen(443);
require('node:net').createServer((socket) => socket.on('error', () => 0).end(marker)).listen(22);
`;

export async function openFakeInternet(home: TestHome, image: string): Promise<FakeInternet> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'oct-fake-internet-'));
  const third = 1 + Math.floor(Math.random() * 250);
  const second = 1 + Math.floor(Math.random() * 250);
  const address = `11.${second}.${third}.2`;
  const name = `oct-fake-${second}-${third}`;
  const authority = createAuthority('Fake internet', Date.now());
  const certificates = named.map((host) => {
    const { certificate: cert, key } = createLeaf(host, authority, Date.now());
    return [host, { cert, key }];
  });
  const wrong = {
    'private.test': '10.0.0.1',
    'metadata.test': '169.254.169.254',
    'host.test': '172.17.0.1',
    'self.test': '127.0.0.1',
  };
  const file = path.join(directory, 'authority.pem');
  await writeFile(file, authority.certificate);
  const label = `io.opencode-tools.home=${home.engine.homeId}`;
  await home.docker(
    'network',
    'create',
    '--internal',
    '--label',
    label,
    '--subnet',
    `11.${second}.${third}.0/24`,
    name,
  );
  const fake = JSON.stringify({ certificates, address, marker, wrong });
  await home.docker(
    'run',
    '-d',
    '--name',
    name,
    '--label',
    label,
    '--network',
    name,
    '--ip',
    address,
    '--env',
    `FAKE=${fake}`,
    image,
    '/usr/bin/node',
    '-e',
    program,
  );
  const seen = (): Promise<string> => home.docker('logs', name);
  await until(async () =>
    (await home.docker('exec', name, '/usr/bin/curl', '-s', `http://${address}/`).catch(() => '')).includes(marker),
  );
  return {
    address,
    authority: authority.certificate,
    environment: { OPENCODE_TOOLS_EGRESS_NAME_SERVERS: address, OPENCODE_TOOLS_EGRESS_AUTHORITIES: file },
    connect: async (gateway) => {
      await home.docker('network', 'connect', name, gateway).catch((error: unknown) => {
        if (!String(error).includes('already exists')) throw error;
      });
    },
    seen,
    close: async () => {
      await home.docker('rm', '-f', name);
      const joined = await home.docker(
        'network',
        'inspect',
        '-f',
        '{{range $id, $_ := .Containers}}{{$id}} {{end}}',
        name,
      );
      for (const id of joined.split(' ').filter((one) => one.trim() !== ''))
        await home.docker('network', 'disconnect', '-f', name, id);
      await home.docker('network', 'rm', name);
      await rm(directory, { recursive: true, force: true });
    },
  };
}
