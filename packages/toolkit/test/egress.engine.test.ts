import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { ExecutionResult, NetworkSpec, OpenHome, SessionId, Task } from '@opencode-tools/core';
import { until } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeInternet, marker, openFakeInternet } from './support/fake-internet.ts';
import { type TestHome, createTestHome, tester as call } from './support/test-home.ts';

const attacks = readFileSync(new URL('./support/attacks.cjs', import.meta.url), 'utf8');
const canary = 'canary-7f3a91c2e5d84b06';

const rule = (host: string, more: Partial<NetworkSpec['rules'][number]> = {}) => ({
  name: host.replace('*', 'any'),
  host,
  ports: [80, 443],
  methods: [],
  pathPrefixes: [],
  ...more,
});
const policy: NetworkSpec = {
  mode: 'policy',
  rules: [
    rule('allowed.test'),
    rule('api.test', { ports: [80], methods: ['GET'], pathPrefixes: ['/public'] }),
    rule('*.wild.test', { ports: [443] }),
    ...['private.test', 'metadata.test', 'host.test', 'self.test', 'rebind.test'].map((host) => rule(host)),
    rule('term.test', {
      ports: [443],
      terminate: true,
      methods: ['GET'],
      inject: [{ header: 'authorization', prefix: 'Bearer ', secret: { from: 'env', variable: 'CANARY' } }],
    }),
  ],
};

describe('what leaves a sandbox', () => {
  let home: TestHome;
  let open: OpenHome;
  let internet: FakeInternet;
  let image: string;

  beforeAll(async () => {
    home = await createTestHome();
    image = await home.engine.clientImage();
    internet = await openFakeInternet(home, image);
    open = await home.open({ environment: { ...process.env, ...internet.environment, CANARY: canary } });
  });
  afterAll(async () => {
    await open.close();
    await internet.close();
    await home.remove();
  });

  const create = (network: NetworkSpec): Promise<Task> =>
    open.services.tasks.create({ title: network.mode, image, network }, call);
  const run = (task: Task, argv: readonly string[], sessionId?: SessionId): Promise<ExecutionResult> => {
    const command = { kind: 'argv', argv } as const;
    const session = sessionId === undefined ? {} : { sessionId };
    return open.services.executions.run(task.id, { command, outputLimitBytes: 1024 ** 2, ...session }, call);
  };
  const curl = async (task: Task, ...argv: readonly string[]): Promise<string> => {
    const { stdout, stderr } = await run(task, ['/usr/bin/curl', '-sS', '-m', '10', ...argv]);
    return `${stdout.text}${stderr.text}`;
  };
  const gatewayName = async (): Promise<string> =>
    (
      await home.docker(
        'ps',
        '--filter',
        `label=io.opencode-tools.home=${open.homeId}`,
        '--filter',
        'label=io.opencode-tools.kind=gateway',
        '--format',
        '{{.Names}}',
      )
    ).trim();
  /** A task with the policy, its sandbox running and its gateway joined to the fake internet. */
  const connected = async (network: NetworkSpec = policy): Promise<Task> => {
    const task = await create(network);
    await run(task, ['/bin/busybox', 'true']);
    await internet.connect(await gatewayName());
    return task;
  };
  const addressOf = async (task: Task): Promise<{ readonly gateway: string; readonly sandbox: string }> => {
    const text = await readFile(path.join(home.directory, 'egress/policies', `${task.id}.json`), 'utf8');
    const { gatewayAddress, sandboxAddress } = JSON.parse(text) as { gatewayAddress: string; sandboxAddress: string };
    return { gateway: gatewayAddress, sandbox: sandboxAddress };
  };
  const attack = async (task: Task, gateway: string | null, elsewhere: readonly unknown[]) => {
    const facts = { server: internet.address, marker, gateway, elsewhere };
    const { stdout, stderr } = await run(task, ['/usr/bin/node', '-e', attacks, JSON.stringify(facts)]);
    expect(stderr.text).toBe('');
    return JSON.parse(stdout.text) as Readonly<Record<string, 'reached' | 'refused'>>;
  };
  const reached = (found: Readonly<Record<string, string>>) =>
    Object.keys(found).filter((name) => found[name] !== 'refused');

  it.each(['fixed-none', 'upgradable'] as const)('nothing leaves with mode %s', async (mode) => {
    const task = await create({ mode, rules: [] });
    const found = await attack(task, null, [['the host', '172.17.0.1', 22]]);
    expect(Object.keys(found).length).toBeGreaterThan(50);
    expect(reached(found)).toEqual([]);
    expect(await open.services.egress.check(task.id, 'https://allowed.test/')).toMatchObject({
      allowed: false,
      rule: 'no-network',
    });
    await open.services.tasks.delete(task.id, {}, call);
  });

  it('with a policy what it allows is reached and every attack is refused and logged', async () => {
    const [task, other] = [await connected(), await connected({ mode: 'policy', rules: [] })];
    const { gateway } = await addressOf(task);
    const neighbour = await addressOf(other);
    const uplink = await home.docker(
      'inspect',
      '-f',
      '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}',
      await gatewayName(),
    );
    const outside = uplink
      .trim()
      .split(' ')
      .filter((address) => !address.startsWith('198.1'));
    const hostAddresses = (await run(task, ['/bin/ip', 'route'])).stdout.text.match(/(?<=via )\S+/g) ?? [];
    const found = await attack(task, gateway, [
      ['another task', neighbour.sandbox, 22],
      ['another task’s gateway', neighbour.gateway, 3128],
      ...[...outside, '172.17.0.1', ...hostAddresses].map((host) => [`${host}, a way around`, host, 22]),
    ]);
    expect(reached(found)).toEqual([]);
    const denied = await open.services.egress.log(task.id, { deniedOnly: true, limit: 1_000 });
    const rules = new Set(denied.map((entry) => entry.rule));
    for (const one of ['default-deny', 'private-address', 'name-mismatch', 'malformed', 'not-http-or-tls'])
      expect(rules).toContain(one);
    for (const { explanation } of denied) expect(explanation).toMatch(/^Denied by .+ To get it, /);
    expect(denied.filter(({ via }) => via.startsWith('dns')).map(({ host }) => host)).toContain(
      'c3RvbGVu.stolen-data.evil.test',
    );
    // What goes to addresses directly reaches nobody who could log it; the kernel of the sandbox gives it up within seconds, and counts.
    const unroutable = async () =>
      (await open.services.egress.log(task.id, { deniedOnly: true, limit: 1_000 }))
        .filter((entry) => entry.rule === 'no-route')
        .reduce((sum, { packets = 0 }) => sum + packets, 0);
    const toAddresses = Object.keys(found).filter((name) =>
      /^raw (the server|another task|UDP$|.*a way around)/.test(name),
    );
    expect(toAddresses.length).toBeGreaterThan(6);
    await until(async () => {
      await run(task, ['true']);
      return (await unroutable()) >= toAddresses.length;
    });
    const before = await unroutable();
    const datagrams =
      "const d=require('dgram').createSocket('udp4');let n=0;const s=()=>d.send('x',9,'203.0.113.9',()=>++n<5?s():setTimeout(()=>d.close(),4000));s()";
    const told = await run(task, ['/usr/bin/node', '-e', datagrams]);
    expect((await unroutable()) - before).toBe(5);
    expect(told.notices?.join()).toMatch(/^Denied by no-route: 5 packets .* To get it, /);
    const seen = await internet.seen();
    expect(seen).not.toMatch(/evil|stolen|smuggled|wild/);
    await open.services.tasks.delete(other.id, {}, call);

    const write = `require('fs').writeFileSync('/tmp/ca.pem', ${JSON.stringify(internet.authority)})`;
    expect((await run(task, ['/usr/bin/node', '-e', write])).stderr.text).toBe('');
    const works = async (...argv: readonly string[]) => expect(await curl(task, ...argv)).toContain(marker);
    await works('http://allowed.test/');
    await works('--noproxy', '*', 'http://allowed.test/');
    await works('--cacert', '/tmp/ca.pem', 'https://allowed.test/');
    await works('--noproxy', '*', '--cacert', '/tmp/ca.pem', 'https://a.wild.test/');
    await works('http://api.test/public/x');
    const fetched = 'fetch("http://allowed.test/").then((r) => r.text()).then(console.log)';
    expect((await run(task, ['/usr/bin/node', '-e', fetched])).stdout.text).toContain(marker);
    const refusal = await run(task, ['/usr/bin/curl', '-sS', 'http://evil.test/']);
    expect(refusal.stdout.text).toMatch(
      /^Denied by default-deny: evil.test:80, because no rule names the host. To get it, /,
    );
    expect(refusal.notices?.join()).toContain('Denied by default-deny');
    await open.services.tasks.delete(task.id, {}, call);
  });

  it('a header is set by the gateway, and its value is nowhere in the sandbox', async () => {
    const task = await connected();
    expect(await curl(task, 'https://term.test/secret')).toContain(marker);
    expect(await internet.seen()).toContain(`http term.test /secret Bearer ${canary}`);
    expect(await curl(task, '-X', 'DELETE', 'https://term.test/')).toContain('allows only the methods GET');
    const { stdout } = await run(task, [
      'sh',
      '-c',
      'env; cat /proc/*/environ /proc/*/cmdline /run/opencode-tools/* /etc/* 2>/dev/null',
    ]);
    expect(stdout.text).not.toContain(canary);
    await open.services.tasks.delete(task.id, {}, call);
  });

  it('a value that a server says back is in no output, also in a process that has it from the gateway, and when it changes', async () => {
    const task = await connected();
    const encoded = ['/usr/bin/curl', '-sS', 'https://term.test/encoded'];
    const hidden = `${marker} Bearer [redacted:term.test authorization]\n`;
    const stars = `${marker} Bearer ${'*'.repeat(canary.length)}\n`;
    expect(await curl(task, 'https://term.test/echo')).toBe(stars);
    expect(await curl(task, 'https://term.test/encoded')).toBe(hidden);
    const command = { kind: 'argv', argv: encoded } as const;
    const sessionId = (await open.services.sessions.attach(task.id, { agent: 'tester' }, call)).session.id;
    const { CANARY: _unset, ...unset } = process.env;
    const others = [unset, { ...unset, CANARY: 'canary-of-another-day' }];
    for (const environment of others) {
      const other = await home.open({ environment: { ...environment, ...internet.environment } });
      const { executions } = other.services;
      const ran = await executions.run(task.id, { command, sessionId }, call);
      expect(ran.stdout.text).toBe(hidden);
      if (environment === unset) {
        const started = await open.services.executions.start(task.id, { command, sessionId }, call);
        await executions.wait(started.id, { timeoutMs: 30_000 }, call);
        expect(Buffer.from((await executions.readOutput(started.id, 'stdout')).bytes).toString()).toBe(stars);
      }
      await other.close();
    }
    expect(await internet.seen()).toContain('http term.test /encoded Bearer canary-of-another-day');
    await open.services.tasks.delete(task.id, { force: true }, call);
  });

  it('programs that read the store of the system trust the gateway for terminated hosts, and what the image trusts as well', async () => {
    const made = `oct-test-trust-${process.pid}`;
    const [created] = (await home.docker('create', image, '/bin/busybox')).split('\n');
    const store = path.join(home.directory, 'store');
    const certificates = path.join(store, 'etc/ssl/certs');
    mkdirSync(path.join(certificates, 'usual'), { recursive: true });
    writeFileSync(path.join(certificates, 'usual/real.crt'), internet.authority);
    symlinkSync('usual/real.crt', path.join(certificates, 'ca-certificates.crt'));
    await home.docker('cp', `${store}/.`, `${created}:/`);
    await home.docker('commit', created ?? '', made);
    await home.docker('rm', created ?? '');
    const task = await open.services.tasks.create({ title: 'trust', image: made, network: policy }, call);
    await run(task, ['/bin/busybox', 'true']);
    await internet.connect(await gatewayName());
    const bare = [
      '/bin/busybox',
      'env',
      '-u',
      'CURL_CA_BUNDLE',
      '-u',
      'SSL_CERT_FILE',
      '/usr/bin/curl',
      '-sS',
      '-m',
      '10',
    ];
    const asked = async (...argv: readonly string[]) => {
      const { stdout, stderr } = await run(task, [...bare, ...argv]);
      return `${stdout.text}${stderr.text}`;
    };
    expect(await asked('https://term.test/secret')).toContain(marker);
    expect(await asked('https://allowed.test/')).toContain(marker);
    await run(task, ['sh', '-c', `cat > /tmp/other.pem <<'END'\n${internet.authority}\nEND`]);
    const hashed = ['--cacert', '/tmp/other.pem', '--capath', '/etc/ssl/certs'];
    expect(await asked(...hashed, 'https://term.test/secret')).toContain(marker);
    expect(await asked('--cacert', '/tmp/other.pem', '--capath', '/tmp', 'https://term.test/secret')).not.toContain(
      marker,
    );
    const write = await run(task, ['sh', '-c', 'echo x >> /etc/ssl/certs/ca-certificates.crt']);
    expect(write.execution.exitCode).not.toBe(0);
    await run(task, ['touch', '/tmp/x']);
    const saved = await open.services.checkpoints.create(task.id, {}, call);
    expect(saved.root?.changedPaths ?? 0).toBe(0);
    await open.services.tasks.delete(task.id, {}, call);
    await home.docker('rmi', made);
  });

  it('a policy changes while the sandbox runs, and a connection that it forbids ends', async () => {
    const task = await connected();
    const { gateway } = await addressOf(task);
    const listen = `const s=require('net').connect(3128,'${gateway}',()=>s.write('CONNECT allowed.test:80 HTTP/1.1\\r\\nhost: allowed.test\\r\\n\\r\\n'));s.on('data',d=>console.log(String(d))).on('close',()=>process.exit(7)).on('error',()=>process.exit(7))`;
    const { session } = await open.services.sessions.attach(task.id, { agent: 'tester' }, call);
    const script = `${listen};setTimeout(()=>s.write('x'),100);setTimeout(()=>process.exit(9),50000)`;
    const long = run(task, ['/usr/bin/node', '-e', script], session.id);
    await until(async () => (await open.services.egress.log(task.id)).some(({ via }) => via === 'connect'));
    const network: NetworkSpec = { mode: 'policy', rules: [rule('evil.test')] };
    const change = await open.services.egress.set(task.id, { network, sessionId: session.id }, call);
    expect(change).toMatchObject({ applied: 'live' });
    expect((await long).execution.exitCode).toBe(7);
    const asked = async (url: string) => (await run(task, ['/usr/bin/curl', '-sS', url], session.id)).stdout.text;
    expect(await asked('http://evil.test/')).toContain(marker);
    expect(await asked('http://allowed.test/')).toContain('Denied by default-deny');
    const entries = await open.services.egress.log(task.id);
    expect(entries.filter(({ rule: used }) => used === 'malformed')).toEqual([]);
    const types = (await open.services.ledger.history(task.id)).map(({ type }) => type);
    expect(types).toEqual(expect.arrayContaining(['egress.requested', 'egress.completed']));
    await open.services.tasks.delete(task.id, { force: true }, call);
  });

  it('a container made without a network for good is saved and made anew, but not under a running command', async () => {
    const task = await create({ mode: 'fixed-none', rules: [] });
    await run(task, ['touch', '/home/agent/kept', '/workspace/kept']);
    const long = run(task, ['sleep', '60']).catch(() => undefined);
    await until(async () => (await open.services.tasks.view(task.id)).runningExecutions.length === 1);
    await expect(open.services.egress.set(task.id, { network: policy }, call)).rejects.toMatchObject({
      code: expect.stringMatching(/VERSION_CONFLICT|LEASE_HELD/) as string,
    });
    await open.services.tasks.stop(task.id, {}, call);
    await long;
    await run(task, ['true']);
    expect(await open.services.egress.set(task.id, { network: policy }, call)).toMatchObject({ applied: 'recreated' });
    expect((await run(task, ['ls', '/home/agent/kept', '/workspace/kept'])).execution.exitCode).toBe(0);
    await internet.connect(await gatewayName());
    expect(await curl(task, 'http://allowed.test/')).toContain(marker);
    await open.services.tasks.delete(task.id, {}, call);
  });

  it('a name that leads to the server at one time and inward at another never leads inward', async () => {
    const task = await connected();
    const rulesUsed = async (): Promise<ReadonlySet<string>> => {
      expect(await curl(task, 'http://rebind.test/')).toMatch(/SERVER-REACHED|^Denied by private-address/);
      const entries = await open.services.egress.log(task.id, { limit: 1_000 });
      return new Set(entries.filter(({ host }) => host === 'rebind.test').map((entry) => entry.rule));
    };
    await until(async () => {
      const used = await rulesUsed();
      return used.has('rebind.test') && used.has('private-address');
    });
    await open.services.tasks.delete(task.id, {}, call);
  });

  it('a task that takes all connections stands in its own way only', async () => {
    const [task, other] = [await connected(), await connected()];
    const { gateway } = await addressOf(task);
    const flood = `const net=require('net');let open=0,ended=0;for(let i=0;i<900;i+=1)net.connect(3128,'${gateway}',()=>open+=1).on('error',()=>0).on('close',()=>ended+=1);setTimeout(()=>{console.log(JSON.stringify({open,ended}));process.exit()},4000)`;
    const flooding = run(task, ['/usr/bin/node', '-e', flood]);
    await until(async () => (await curl(other, 'http://allowed.test/')).includes(marker));
    const { open: opened, ended } = JSON.parse((await flooding).stdout.text) as { open: number; ended: number };
    expect(opened).toBeGreaterThan(500);
    expect(ended).toBeGreaterThan(300);
    await until(async () => (await curl(task, 'http://allowed.test/')).includes(marker));
    for (const { id } of [task, other]) await open.services.tasks.delete(id, {}, call);
  });

  it('without a gateway, or with a policy that is broken or gone, nothing leaves; the gateway comes back by itself', async () => {
    const task = await connected();
    expect(await curl(task, 'http://allowed.test/')).toContain(marker);
    const file = path.join(home.directory, 'egress/policies', `${task.id}.json`);
    const good = readFileSync(file);
    writeFileSync(file, '{"v":1,"network":');
    await until(async () => !(await curl(task, '--connect-timeout', '2', 'http://allowed.test/')).includes(marker));
    writeFileSync(file, good);
    await until(async () => (await curl(task, 'http://allowed.test/')).includes(marker));
    const gateway = await gatewayName();
    const pid = Number((await home.docker('inspect', '-f', '{{.State.Pid}}', gateway)).trim());
    await home.docker('pause', gateway);
    const { sandbox } = await open.services.tasks.view(task.id);
    const asked = [
      'exec',
      '-e',
      `http_proxy=http://${(await addressOf(task)).gateway}:3128`,
      `${sandbox?.ref}`,
      'curl',
    ];
    await expect(home.docker(...asked, '-sS', '-m', '2', 'http://allowed.test/')).rejects.toThrow(/timed out/i);
    await until(async () => (await curl(task, 'http://allowed.test/')).includes(marker));
    process.kill(pid, 'SIGKILL');
    await until(async () => Number((await home.docker('inspect', '-f', '{{.State.Pid}}', gateway)).trim()) > 0);
    await until(async () => (await curl(task, 'http://allowed.test/')).includes(marker));
    await home.docker('rm', '-f', gateway);
    expect(await curl(task, '--connect-timeout', '2', 'http://allowed.test/')).not.toContain(marker);
    const again = await home.open({ environment: { ...process.env, ...internet.environment, CANARY: canary } });
    await again.services.executions.run(task.id, { command: { kind: 'argv', argv: ['true'] } }, call);
    await internet.connect(await gatewayName());
    expect(await curl(task, 'https://term.test/')).toContain(marker);
    await again.close();
    await open.services.tasks.delete(task.id, {}, call);
    expect(await gatewayName()).toBe('');
  });
});
