/**
 * The egress gateway beside the same client and server without it, on this host's loopback: throughput of a large download on each
 * way through it, time added to a request, and its memory beside a bare Node process (`node -e`) and beside one that has loaded Node's
 * HTTP and TLS and does nothing: with 200 connections open while a large download runs, and with 200 downloads at once. The gateway is
 * the program as it is built, with the flags and variables of its container.
 *
 * pnpm build && node --conditions=@opencode-tools/source bench/egress-gateway.mjs
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, request } from 'node:http';
import { Agent as TlsAgent, createServer as createTlsServer, request as requestByTls } from 'node:https';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const [gatewayAddress, sandboxAddress, serverAddress] = ['127.0.0.7', '127.0.0.1', '127.0.0.8'];
const ports = { plain: 18_080, tunnel: 18_443, terminated: 18_444 };
const proxy = { host: gatewayAddress, port: 3128 };
const megabytes = 512;
const connections = 200;

if (process.argv[2] === 'server') serve(process.argv[3]);
else await main();

/** `/some` is 8 MB, and `/large` as many as are said above. `/held` is answered when as many requests for it have come as connections are wanted, and a second has gone by. */
function serve(root) {
  const chunk = Buffer.alloc(1024 ** 2);
  const held = [];
  const answer = (incoming, response) => {
    const length = { '/large': megabytes, '/some': 8 }[incoming.url];
    if (length !== undefined) Readable.from(Array.from({ length }, () => chunk)).pipe(response);
    else if (incoming.url !== '/held') response.end('small');
    else if (held.push(response) === connections)
      setTimeout(() => held.splice(0).forEach((one) => one.end('held')), 1_000);
  };
  createServer(answer).listen(ports.plain, serverAddress);
  const [key, cert] = ['server.key', 'server.pem'].map((name) => readFileSync(join(root, name)));
  for (const port of [ports.tunnel, ports.terminated])
    createTlsServer({ key, cert }, answer).listen(port, serverAddress);
}

async function main() {
  const root = mkdtempSync(join(tmpdir(), 'oct-bench-egress-'));
  const authority = await plant(root);
  const program = fileURLToPath(new URL('../packages/egress/dist/gateway.cjs', import.meta.url));
  const { gatewayFlags } = await import('../packages/egress/src/gateway-program.ts');
  const { gatewayOptions } = await import('../packages/docker-runtime/src/networks/gateway-options.ts');
  const plan = { directory: root, user: {}, argv: [], version: '1' };
  const env = Object.fromEntries(gatewayOptions(plan, '', '', '').Env.map((pair) => pair.split('=')));
  const node = (...args) => spawn(process.execPath, args, { env, stdio: ['ignore', 'inherit', 'inherit'] });
  const idly = 'setInterval(() => undefined, 1000)';
  const server = node(fileURLToPath(import.meta.url), 'server', root);
  const gateway = node(...gatewayFlags, program, root);
  const [bare, loaded] = [node('-e', idly), node('-e', `require('http'); require('https'); ${idly}`)];
  const children = [server, gateway, bare, loaded];
  const own = () => memory(gateway.pid);
  const above = (megabytesNow) =>
    `${(megabytesNow - memory(bare.pid)).toFixed(0)} MB above a bare Node, ${(megabytesNow - memory(loaded.pid)).toFixed(0)} MB above one with HTTP and TLS`;
  const ways = {
    http: { direct: { port: ports.plain }, gateway: { port: ports.plain, by: 'proxy' } },
    tunnel: { direct: { port: ports.tunnel, authority }, gateway: { port: ports.tunnel, authority, by: 'connect' } },
    terminated: {
      direct: { port: ports.terminated, authority },
      gateway: { port: ports.terminated, authority, by: 'connect' },
    },
  };
  try {
    await started(`http://${serverAddress}:${ports.plain}/`);
    await started(`http://${gatewayAddress}:3128/`);
    console.log(`load ${loadavg()[0].toFixed(1)}  idle ${above(own())}`);
    for (const name of ['http', 'tunnel']) await download(name, ways[name]);
    const times = { direct: await median(ways.http.direct), gateway: await median(ways.http.gateway) };
    const added = times.gateway - times.direct;
    console.log(
      `request p50  direct ${times.direct.toFixed(2)} ms  gateway ${times.gateway.toFixed(2)} ms  added ${added.toFixed(2)} ms`,
    );
    for (const name of ['http', 'tunnel', 'terminated']) {
      if (name === 'terminated') await download(name, ways[name]);
      const both = (way) => [...asMany(() => get({ ...way, what: '/held' })), speed(way)];
      await many(`${connections} open and a download, ${name}`, ways[name], both, own, above);
    }
    const all = (way) => asMany(() => get({ ...way, what: '/some' }));
    for (const [name, way] of Object.entries(ways))
      await many(`${connections} downloads, ${name}`, way, all, own, above);
  } finally {
    for (const child of children) child.kill();
    rmSync(root, { recursive: true, force: true });
  }
}

async function download(name, way) {
  const speeds = { direct: await speed(way.direct), gateway: await speed(way.gateway) };
  const ratio = (speeds.gateway / speeds.direct).toFixed(2);
  console.log(
    `download, ${name}  direct ${speeds.direct.toFixed(0)} MB/s  gateway ${speeds.gateway.toFixed(0)} MB/s  ratio ${ratio}`,
  );
}

async function many(title, way, start, own, above) {
  let answered = 0;
  const peak = await peakOf(own, async () => {
    const settled = await Promise.allSettled(start(way.gateway));
    answered = settled.filter(({ status }) => status === 'fulfilled').length;
  });
  console.log(`${title}  answered ${answered}  at most ${above(peak)}`);
}

function asMany(start) {
  return Array.from({ length: connections }, start);
}

/** What the gateway of a home finds in its directory, and the server's key. @returns the authority that signed it */
async function plant(root) {
  const { createAuthority, createLeaf } = await import('../packages/egress/src/gateway/certificates.ts');
  for (const name of ['policies', 'authority', 'out']) mkdirSync(join(root, name));
  const authority = createAuthority('Benchmark', Date.now());
  const leaf = createLeaf(serverAddress, authority, Date.now());
  const rules = Object.entries(ports).map(([name, port]) => {
    const rule = { name, host: serverAddress, ports: [port], methods: [], pathPrefixes: [] };
    return name === 'terminated' ? { ...rule, terminate: true } : rule;
  });
  const network = { mode: 'policy', rules };
  const policy = { v: 1, taskId: 'bench', gatewayAddress, sandboxAddress, network, version: 1, digest: '1' };
  const files = {
    'authority/certificate.pem': authority.certificate,
    'authority/key.pem': authority.key,
    'server.pem': leaf.certificate,
    'server.key': leaf.key,
    'settings.json': JSON.stringify({ v: 1, nameServers: [], upstreamAuthorities: authority.certificate }),
    'policies/bench.json': JSON.stringify(policy),
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(root, name), content);
  return authority.certificate;
}

/** Asks directly, through the proxy, or by TLS inside a CONNECT. */
async function get({ port, by, authority, agent, what = '/small' }) {
  const fresh = authority === undefined ? new Agent() : new TlsAgent({ ca: authority });
  const target = by === 'proxy' ? proxy : { host: serverAddress, port };
  const path = by === 'proxy' ? `http://${serverAddress}:${port}${what}` : what;
  const socket = by === 'connect' ? await connected(port) : undefined;
  const headers = { host: `${serverAddress}:${port}` };
  const options = { ...target, path, headers, agent: agent ?? fresh, ...(socket === undefined ? {} : { socket }) };
  return new Promise((resolve, reject) => {
    const outgoing = (authority === undefined ? request : requestByTls)(options, (answer) => {
      let bytes = 0;
      answer
        .on('data', (chunk) => (bytes += chunk.length))
        .on('end', () =>
          answer.statusCode === 200 ? resolve(bytes) : reject(new Error(`status ${answer.statusCode}`)),
        )
        .on('error', reject);
    });
    outgoing.on('error', reject).end();
  });
}

function connected(port) {
  return new Promise((resolve, reject) => {
    const options = { ...proxy, method: 'CONNECT', path: `${serverAddress}:${port}`, agent: new Agent() };
    request(options)
      .on('connect', (answer, socket) =>
        answer.statusCode === 200 ? resolve(socket) : reject(new Error(`status ${answer.statusCode}`)),
      )
      .on('error', reject)
      .end();
  });
}

async function speed(target) {
  const at = performance.now();
  const bytes = await get({ ...target, what: '/large' });
  return bytes / 1024 ** 2 / ((performance.now() - at) / 1_000);
}

async function median(target) {
  const agent = new Agent({ keepAlive: true });
  const times = [];
  for (let index = 0; index < 600; index += 1) {
    const at = performance.now();
    await get({ ...target, agent });
    if (index >= 100) times.push(performance.now() - at);
  }
  agent.destroy();
  return times.sort((one, other) => one - other)[250];
}

/** The most that was seen while it ran. */
async function peakOf(value, work) {
  let peak = value();
  const timer = setInterval(() => (peak = Math.max(peak, value())), 10);
  await work();
  clearInterval(timer);
  return Math.max(peak, value());
}

async function started(url) {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (
      await fetch(url).then(
        (answer) => answer.status > 0,
        () => false,
      )
    )
      return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`Nothing answers at ${url}`);
}

/** Resident, in MB. */
function memory(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}
