import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { networkInterfaces } from 'node:os';
import type { AddressInfo } from 'node:net';
import type { EgressGateway, EgressLogEntry, EgressRule, NetworkSpec, Task } from '@opencode-tools/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

export interface OpenEgressGateway {
  readonly gateway: EgressGateway;
  /** A task with this network and an image that has `curl`. */
  readonly newTask: (network: NetworkSpec) => Promise<Task>;
  /** Makes its sandbox when there is none. */
  readonly sandboxOf: (task: Task) => Promise<string>;
  /** Runs a script in a task's sandbox with the variables that the gateway names. Returns what it wrote. */
  readonly run: (task: Task, script: string) => Promise<string>;
  readonly close: () => Promise<void>;
}

/** Says what every `EgressGateway` does, with a server of this host as the outside. Called at the top level of a test file. */
export function egressGatewayContract(name: string, open: () => Promise<OpenEgressGateway>): void {
  describe(`${name} as an egress gateway`, () => {
    let opened: OpenEgressGateway;
    const asked: string[] = [];
    const outside = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      response.end('from outside');
    });
    const rule = (more: Partial<EgressRule> = {}): EgressRule => ({
      name: 'only',
      host: address(),
      ports: [(outside.address() as AddressInfo).port],
      methods: ['GET'],
      pathPrefixes: ['/open'],
      ...more,
    });
    const policy = (...rules: readonly EgressRule[]): NetworkSpec => ({ mode: 'policy', rules });
    const none: NetworkSpec = { mode: 'fixed-none', rules: [] };
    const curl = (path: string, port = rule().ports[0]) =>
      `curl -s -m 20 http://${address()}:${port}${path} || echo "curl $?"`;
    beforeAll(async () => {
      await new Promise<void>((resolve) => outside.listen(0, '0.0.0.0', resolve));
      opened = await open();
    });
    afterAll(async () => {
      await opened.close();
      outside.closeAllConnections();
      await new Promise((resolve) => outside.close(resolve));
    });

    test('decides by the rules alone, and says which', () => {
      const { gateway } = opened;
      const at = { host: 'pypi.org', port: 443 };
      const named = rule({ host: 'pypi.org', ports: [443], methods: [], pathPrefixes: [] });
      expect(gateway.decide(policy(named), at)).toMatchObject({ allowed: true, rule: 'only' });
      const denied = gateway.decide(policy(named), { ...at, host: 'example.org' });
      expect(denied).toMatchObject({ allowed: false, rule: 'default-deny' });
      expect(denied.explanation).toContain('example.org');
      expect(gateway.decide({ ...none, rules: [named] }, at)).toMatchObject({ allowed: false, rule: 'no-network' });
    });

    test('refuses a policy that says something else than it means, and a name that it does not know', () => {
      const { gateway } = opened;
      const wrong = { code: 'OCT_INVALID_ARGUMENT' };
      gateway.validate(policy(rule()));
      expect(() => gateway.validate(policy(rule({ host: 'no host' })))).toThrow(expect.objectContaining(wrong));
      expect(() => gateway.validate(policy(rule(), rule()))).toThrow(expect.objectContaining(wrong));
      expect(() => gateway.named(['no-such-policy'])).toThrow(expect.objectContaining(wrong));
    });

    test('has nothing of a task without a network', async () => {
      const { gateway, newTask } = opened;
      const task = await newTask(none);
      expect(await gateway.prepare(task)).toBeUndefined();
      expect(await gateway.environment(task)).toEqual({});
      expect(await gateway.readLog(task.id, { from: await gateway.logPosition(task.id), limit: 10 })).toEqual([]);
      expect(await gateway.release(task.id, null)).toBe(false);
    });

    test('lets out what a rule names and nothing else, logs both, and takes the network away for good', async () => {
      const { gateway, newTask, sandboxOf, run } = opened;
      const task = await newTask(policy(rule()));
      const files = await gateway.prepare(task);
      expect([files?.nameServerFile, files?.trustDirectory].map((file) => existsSync(file ?? ''))).toEqual([
        true,
        true,
      ]);
      const ref = await sandboxOf(task);
      await gateway.enforce(task, ref);
      await gateway.enforce(task, ref, { anew: true });
      const from = await gateway.logPosition(task.id);
      expect(await run(task, curl('/open/x'))).toBe('from outside');
      expect(await run(task, curl('/closed'))).toContain('Denied by');
      // Without the gateway there is no way at all.
      expect(await run(task, `unset http_proxy HTTP_PROXY; ${curl('/open/y')}`)).toMatch(/^curl \d+\n$/);
      expect(asked).toEqual(['GET /open/x']);
      const read = async (deniedOnly: boolean) => gateway.readLog(task.id, { from, limit: 20, deniedOnly });
      const atGateway = ({ rule: used }: EgressLogEntry) => used !== 'no-route';
      const log = (await read(false)).filter(atGateway);
      expect(log.map(({ allowed, path }) => [path, allowed])).toEqual([
        ['/open/x', true],
        ['/closed', false],
      ]);
      expect((await read(true)).filter(atGateway)).toEqual([log[1]]);
      const before = (await read(false)).length;
      const counted = { sandboxRef: `${ref}-made-anew`, packets: 3 };
      await gateway.noteUnroutable(task.id, counted);
      await gateway.noteUnroutable(task.id, counted);
      await gateway.noteUnroutable(task.id, { ...counted, packets: 5 });
      await gateway.noteUnroutable(task.id, { ...counted, packets: 1 });
      const unroutable = (await read(true)).slice(before - 1);
      expect(unroutable.map(({ rule: used, via, packets }) => [used, via, packets])).toEqual([
        ['no-route', 'ip', 3],
        ['no-route', 'ip', 2],
        ['no-route', 'ip', 1],
      ]);
      expect((await gateway.list()).map(({ kind }) => kind).toSorted()).toEqual(['gateway', 'network', 'uplink']);
      expect(await gateway.release(task.id, ref)).toBe(true);
      expect(await gateway.release(task.id, ref)).toBe(false);
      expect((await gateway.list()).filter(({ taskId }) => taskId === task.id)).toEqual([]);
    });
  });
}

/** An address of this host that a container's way to the outside leads to. */
function address(): string {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';
}
