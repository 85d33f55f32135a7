import { mkdirSync, writeFileSync } from 'node:fs';
import { type RequestOptions, request as httpRequest } from 'node:http';
import { createServer, request } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { createAuthority, createLeaf } from '../src/gateway/certificates.ts';
import { Gateway } from '../src/gateway/gateway.ts';

/*
 * A gateway in a process of its own, whose public authorities the variable `NODE_EXTRA_CA_CERTS` adds to. It asks two servers through the
 * gateway, one signed by such an authority and one by an authority of the configuration, and says what each answered.
 */

const [, , root = '', publicKey = '', publicCertificate = '', configured] = process.argv;
const gatewayAddress = '127.31.7.1';
const nowMs = Date.now();
const hosts = { public: '127.31.7.2', configured: '127.31.7.3' };
const own = createAuthority('Configured', nowMs);
const gateways = createAuthority('Gateway', nowMs);
const authorities = { public: { key: publicKey, certificate: publicCertificate }, configured: own };

const ports: Record<string, number> = {};
for (const [name, host] of Object.entries(hosts)) {
  const { key, certificate: cert } = createLeaf(host, authorities[name as keyof typeof hosts], nowMs);
  const server = createServer({ key, cert }, (_request, response) => response.end(`from ${name}`));
  await new Promise<void>((resolve) => server.listen({ host, port: 0 }, resolve));
  ports[name] = (server.address() as AddressInfo).port;
}

const rules = Object.entries(hosts).map(([name, host]) => {
  return { name, host, ports: [ports[name]], methods: [], pathPrefixes: [], terminate: true };
});
const network = { mode: 'policy', rules };
const policy = { v: 1, taskId: 'one', gatewayAddress, sandboxAddress: '127.0.0.1', network, version: 1, digest: '1' };
for (const name of ['policies', 'authority', 'out']) mkdirSync(join(root, name));
const files = {
  'authority/certificate.pem': gateways.certificate,
  'authority/key.pem': gateways.key,
  'settings.json': JSON.stringify({
    v: 1,
    nameServers: [],
    upstreamAuthorities: configured === 'configured' ? own.certificate : '',
  }),
  'policies/one.json': JSON.stringify(policy),
};
for (const [name, content] of Object.entries(files)) writeFileSync(join(root, name), content);

await new Gateway(root).run();
const answers: Record<string, string> = {};
for (const [name, host] of Object.entries(hosts)) answers[name] = await ask(host, ports[name] ?? 0);
process.stdout.write(JSON.stringify(answers), () => process.exit(0));

async function ask(host: string, port: number): Promise<string> {
  const socket = await new Promise<Socket>((resolve, reject) => {
    const options: RequestOptions = { host: gatewayAddress, port: 3128, method: 'CONNECT', path: `${host}:${port}` };
    httpRequest(options)
      .on('connect', (_answer, connected) => resolve(connected))
      .on('error', reject)
      .end();
  });
  return new Promise((resolve, reject) => {
    const secure = connect({ socket, host, ca: gateways.certificate });
    request({ host, port, createConnection: () => secure, path: '/' }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => (text += chunk.toString())).on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });
}
