/**
 * The egress gateway beside the same client and server without it, on this host's loopback: throughput of a large download, time
 * added to a request, many connections at once, memory beside a bare Node process. The gateway is the program as it is built.
 *
 * pnpm build && node --conditions=@opencode-tools/source bench/egress-gateway.mjs
 */
import { fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, request } from 'node:http';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const [gatewayAddress, sandboxAddress, serverAddress] = ['127.0.0.7', '127.0.0.1', '127.0.0.8'];
const serverPort = 18_080;
const megabytes = 512;

if (process.argv[2] === 'server') serve();
else if (process.argv[2] === 'bare') setInterval(() => undefined, 1_000);
else await main();

function serve() {
  const chunk = Buffer.alloc(1024 ** 2);
  createServer((incoming, response) => {
    if (incoming.url !== '/large') response.end('small');
    else Readable.from(Array.from({ length: megabytes }, () => chunk)).pipe(response);
  }).listen(serverPort, serverAddress);
}

async function main() {
  const root = mkdtempSync(join(tmpdir(), 'oct-bench-egress-'));
  const { createAuthority } = await import('../packages/egress/src/gateway/certificates.ts');
  for (const name of ['policies', 'authority', 'out']) mkdirSync(join(root, name));
  const { certificate, key } = createAuthority('Benchmark', Date.now());
  writeFileSync(join(root, 'authority/certificate.pem'), certificate);
  writeFileSync(join(root, 'authority/key.pem'), key);
  writeFileSync(join(root, 'settings.json'), JSON.stringify({ v: 1, nameServers: [], upstreamAuthorities: '' }));
  const rule = { name: 'bench', host: serverAddress, ports: [serverPort], methods: [], pathPrefixes: [] };
  const network = { mode: 'policy', rules: [rule] };
  const policy = { v: 1, taskId: 'bench', gatewayAddress, sandboxAddress, network, version: 1, digest: '1' };
  writeFileSync(join(root, 'policies/bench.json'), JSON.stringify(policy));
  const file = fileURLToPath(import.meta.url);
  const program = fileURLToPath(new URL('../packages/egress/dist/gateway.js', import.meta.url));
  const plain = { execArgv: [] };
  const server = fork(file, ['server'], plain);
  // As the gateway's container starts it.
  const gateway = fork(program, [root], { ...plain, env: { ...process.env, MALLOC_ARENA_MAX: '1' } });
  const bare = fork(file, ['bare'], plain);
  const children = [server, gateway, bare];
  try {
    await started(`http://${serverAddress}:${serverPort}/`);
    const proxied = { host: gatewayAddress, port: 3128, path: `http://${serverAddress}:${serverPort}` };
    await started(`http://${gatewayAddress}:3128/`);
    const direct = { host: serverAddress, port: serverPort, path: '' };
    const before = memory(gateway.pid) - memory(bare.pid);
    console.log(`load ${loadavg()[0].toFixed(1)}`);
    const speeds = { direct: await speed(direct), gateway: await speed(proxied) };
    console.log(
      `download  direct ${speeds.direct.toFixed(0)} MB/s  gateway ${speeds.gateway.toFixed(0)} MB/s  ratio ${(speeds.gateway / speeds.direct).toFixed(2)}`,
    );
    const times = { direct: await median(direct), gateway: await median(proxied) };
    console.log(
      `request p50  direct ${times.direct.toFixed(2)} ms  gateway ${times.gateway.toFixed(2)} ms  added ${(times.gateway - times.direct).toFixed(2)} ms`,
    );
    const at = performance.now();
    const many = await Promise.all(
      Array.from({ length: 200 }, () =>
        get(proxied, new Agent()).then(
          () => 1,
          () => 0,
        ),
      ),
    );
    console.log(
      `200 connections at once  answered ${many.filter(Boolean).length}  in ${(performance.now() - at).toFixed(0)} ms`,
    );
    const after = memory(gateway.pid) - memory(bare.pid);
    console.log(`memory above a bare Node  idle ${before.toFixed(0)} MB  after all this ${after.toFixed(0)} MB`);
  } finally {
    for (const child of children) child.kill();
    rmSync(root, { recursive: true, force: true });
  }
}

function get({ host, port, path }, agent, what = '/small') {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host, port, path: `${path}${what}`, agent, headers: { host: `${serverAddress}:${serverPort}` } },
      (answer) => {
        let bytes = 0;
        answer
          .on('data', (chunk) => (bytes += chunk.length))
          .on('end', () =>
            answer.statusCode === 200 ? resolve(bytes) : reject(new Error(`status ${answer.statusCode}`)),
          )
          .on('error', reject);
      },
    );
    outgoing.on('error', reject).end();
  });
}

async function speed(target) {
  const at = performance.now();
  const bytes = await get(target, new Agent(), '/large');
  return bytes / 1024 ** 2 / ((performance.now() - at) / 1_000);
}

async function median(target) {
  const agent = new Agent({ keepAlive: true });
  const times = [];
  for (let index = 0; index < 600; index += 1) {
    const at = performance.now();
    await get(target, agent);
    if (index >= 100) times.push(performance.now() - at);
  }
  agent.destroy();
  return times.sort((one, other) => one - other)[250];
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
