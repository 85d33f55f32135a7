import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type GatewayPlan, type NetworkPort, type TaskId, createIds, systemClock } from '@opencode-tools/core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

export interface OpenNetworkPort {
  readonly networks: NetworkPort;
  /** The same home's, as another process has it. */
  readonly other: NetworkPort;
  /** Starts a container without a network. Returns its reference. */
  readonly newSandbox: () => Promise<string>;
  readonly removeSandbox: (ref: string) => Promise<void>;
  /** Takes a container off a network, as somebody else may. */
  readonly disconnect: (network: string, container: string) => Promise<void>;
  readonly stop: (container: string) => Promise<void>;
  readonly removeNetwork: (ref: string) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Runs on; told something, it writes that to its output and says that it took it. */
const gatewayProgram = `
import { writeFileSync, readFileSync } from 'node:fs';
if (process.argv[2] !== 'take') setInterval(() => {}, 1_000_000);
else { writeFileSync('/egress/out/told', readFileSync(0)); console.log('taken'); }
`;

/** Says what every `NetworkPort` does. Called at the top level of a test file. */
export function networkPortContract(name: string, open: () => Promise<OpenNetworkPort>): void {
  describe(`${name} as a network port`, () => {
    let opened: OpenNetworkPort;
    let plan: GatewayPlan;
    const joined: { readonly task: TaskId; readonly sandbox: string }[] = [];
    const user = { uid: 1000, gid: 1000 };
    beforeAll(async () => {
      const directory = await mkdtemp(join(tmpdir(), 'oct-gateway-'));
      await chmod(directory, 0o755);
      await mkdir(join(directory, 'out'));
      if (process.getuid?.() === 0) await chown(join(directory, 'out'), user.uid, user.gid);
      await writeFile(join(directory, 'gateway.mjs'), gatewayProgram);
      plan = { directory, argv: ['/egress/gateway.mjs'], user, version: 'first', image: null };
      opened = await open();
    });
    afterEach(async () => {
      for (const { task, sandbox } of joined.splice(0)) {
        await opened.networks.detach(task, sandbox);
        await opened.removeSandbox(sandbox);
      }
    });
    afterAll(async () => {
      await opened.close();
      await rm(plan.directory, { recursive: true });
    });

    const newTask = async () => {
      const one = { task: createIds(systemClock).next('task'), sandbox: await opened.newSandbox() };
      joined.push(one);
      return one;
    };
    const kinds = async () => (await opened.networks.list()).map(({ kind }) => kind).sort();

    test('joins sandbox and gateway in a network of the task, once', async () => {
      const { task, sandbox } = await newTask();
      const network = await opened.networks.attach(task, sandbox, plan);
      expect(network.gatewayAddress).not.toBe(network.sandboxAddress);
      expect(await opened.networks.attach(task, sandbox, plan)).toEqual(network);
      expect(await opened.other.attach(task, sandbox, plan)).toEqual(network);
      const facts = await opened.networks.list();
      expect(facts.filter(({ taskId }) => taskId === task)).toMatchObject([{ kind: 'network', name: network.name }]);
      expect(await kinds()).toEqual(['gateway', 'network', 'uplink']);
    });

    test('gives each task a network of its own, and all of them one gateway', async () => {
      const [one, two] = [await newTask(), await newTask()];
      const made = await Promise.all([
        opened.networks.attach(one.task, one.sandbox, plan),
        opened.other.attach(two.task, two.sandbox, plan),
      ]);
      const addresses = made.flatMap(({ name: network, gatewayAddress, sandboxAddress }) => [
        network,
        gatewayAddress,
        sandboxAddress,
      ]);
      expect(new Set(addresses).size).toBe(6);
      expect(await kinds()).toEqual(['gateway', 'network', 'network', 'uplink']);
    });

    test('takes a sandbox off, also one that is gone, and the gateway with the last', async () => {
      const [one, two] = [await newTask(), await newTask()];
      for (const { task, sandbox } of [one, two]) await opened.networks.attach(task, sandbox, plan);
      expect(await opened.other.detach(one.task, one.sandbox)).toBe(true);
      expect(await opened.networks.detach(one.task, one.sandbox)).toBe(false);
      expect(await kinds()).toContain('gateway');
      await opened.removeSandbox(two.sandbox);
      expect(await opened.networks.detach(two.task, null)).toBe(true);
      expect(await kinds()).toEqual([]);
    });

    test('replaces a gateway of another version, which all networks have then', async () => {
      const [one, two] = [await newTask(), await newTask()];
      const before = await opened.networks.attach(one.task, one.sandbox, plan);
      const after = await opened.networks.attach(two.task, two.sandbox, { ...plan, version: 'second' });
      expect(after.gatewayStartedAt).not.toBe(before.gatewayStartedAt);
      const again = await opened.networks.attach(one.task, one.sandbox, { ...plan, version: 'second' });
      expect(again).toEqual({ ...before, gatewayStartedAt: after.gatewayStartedAt });
      expect((await kinds()).filter((kind) => kind === 'gateway')).toHaveLength(1);
    });

    test('puts the gateway back where somebody took it out, and says so until then', async () => {
      const { task, sandbox } = await newTask();
      const before = await opened.networks.attach(task, sandbox, plan);
      const gateway = async () => (await opened.networks.list()).find(({ kind }) => kind === 'gateway');
      const uplink = (await opened.networks.list()).find(({ kind }) => kind === 'uplink');
      for (const network of [uplink?.name ?? '', before.name]) {
        expect(await gateway()).not.toHaveProperty('apartFrom');
        await opened.disconnect(network, (await gateway())?.ref ?? '');
        expect(await gateway()).toMatchObject({ apartFrom: [network] });
        expect(await opened.networks.attach(task, sandbox, plan)).toEqual(before);
      }
      await opened.disconnect(uplink?.name ?? '', (await gateway())?.ref ?? '');
      await opened.removeNetwork(uplink?.ref ?? '');
      expect(await gateway()).toMatchObject({ apartFrom: ['its uplink, which is gone'] });
      await opened.networks.attach(task, sandbox, plan);
      expect(await gateway()).not.toHaveProperty('apartFrom');
      expect(await kinds()).toEqual(['gateway', 'network', 'uplink']);
    });

    test('says that the gateway does not run, and starts it again', async () => {
      const { task, sandbox } = await newTask();
      await opened.networks.attach(task, sandbox, plan);
      const gateway = async () => (await opened.networks.list()).find(({ kind }) => kind === 'gateway');
      expect(await gateway()).not.toHaveProperty('stopped');
      await opened.stop((await gateway())?.ref ?? '');
      expect(await gateway()).toMatchObject({ stopped: true });
      await opened.networks.attach(task, sandbox, plan);
      expect(await gateway()).not.toHaveProperty('stopped');
    });

    test('tells the gateway a text', async () => {
      const { task, sandbox } = await newTask();
      await opened.networks.attach(task, sandbox, plan);
      await opened.networks.tell(plan, ['take'], 'zwölf\nlines');
      expect(await readFile(join(plan.directory, 'out', 'told'), 'utf8')).toBe('zwölf\nlines');
    });

    test('has no network and no gateway for a task that has none', async () => {
      const task = createIds(systemClock).next('task');
      expect(await opened.networks.detach(task, null)).toBe(false);
      await expect(opened.networks.tell(plan, ['take'], 'x')).rejects.toMatchObject({
        code: expect.stringMatching(/^OCT_/) as string,
      });
    });
  });
}
