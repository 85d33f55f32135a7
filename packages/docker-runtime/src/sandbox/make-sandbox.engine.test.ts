import { createIds, silentLogger, systemClock } from '@opencode-tools/core';
import {
  type EngineProxy,
  type TestEngine,
  openEngineProxy,
  openTestEngine,
  runIn,
  samplePlan,
  until,
} from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type DockerRuntimeOptions, createDockerRuntime } from '../index.ts';

let engine: TestEngine;
let faulty: EngineProxy;
const open = (change: Partial<DockerRuntimeOptions> = {}) =>
  createDockerRuntime({
    environment: process.env,
    homeId: engine.homeId,
    ids: createIds(systemClock),
    clock: systemClock,
    logger: silentLogger,
    ...change,
  });

beforeAll(async () => {
  engine = await openTestEngine();
  faulty = await openEngineProxy();
});
afterAll(async () => {
  await faulty.close();
  await engine.close();
});

describe('a sandbox that cannot be made', () => {
  test('leaves no container when the engine does not say what it can do', async () => {
    const { runtime } = open({ endpoint: faulty.endpoint });
    faulty.faults.push(/^GET \/info/);
    await expect(runtime.create(samplePlan(engine.homeId, engine.imageId))).rejects.toMatchObject({
      message: expect.stringContaining('injected fault') as string,
    });
    faulty.faults.length = 0;
    // Whatever is still on its way is there when the next one stands.
    await (await runtime.create(samplePlan(engine.homeId, engine.imageId))).destroy();
    expect(await engine.leftovers()).toEqual([]);
    await runtime.close();
  });

  test('because the engine lacks its runtime is refused before anything is made', async () => {
    const { runtime } = open({ endpoint: faulty.endpoint });
    faulty.faults.push(/^POST \/containers\/create/);
    const wanted = { runtime: 'no-such-runtime' };
    await expect(runtime.create(samplePlan(engine.homeId, engine.imageId, wanted))).rejects.toMatchObject({
      code: 'OCT_CAPABILITY_UNSUPPORTED',
      message: expect.stringContaining('The engine has no runtime no-such-runtime (it has ') as string,
      details: { capability: 'runtime' },
    });
    faulty.faults.length = 0;
    await runtime.close();
  });

  test('fails with what went wrong first, although its removal fails, too', async () => {
    const { runtime } = open({ endpoint: faulty.endpoint });
    const made = samplePlan(engine.homeId, engine.imageId, { runtime: 'no-such-runtime' });
    faulty.faults.push(/^GET \/info/, /^DELETE /);
    await expect(runtime.create({ ...made, runtime: null })).rejects.toMatchObject({
      message: 'Asking the engine what it can do: the engine answered 500: injected fault',
    });
    faulty.faults.length = 0;
    const [left] = await runtime.list({ homeId: engine.homeId });
    expect(left).toMatchObject({ operationId: made.operationId });
    await (await runtime.find(left?.ref ?? ''))?.destroy();
    await runtime.close();
  });
});

test('a maker who was stopped, and goes on when another took the sandbox over, leaves it as it is', async () => {
  const [slow, quick] = [open(), open()];
  const plan = samplePlan(engine.homeId, engine.imageId);
  const capabilities = await slow.runtime.capabilities();
  const { promise, resolve } = Promise.withResolvers<typeof capabilities>();
  vi.spyOn(slow.runtime, 'capabilities').mockReturnValue(promise);
  const late = slow.runtime.create(plan);
  await until(async () => (await quick.runtime.list({ homeId: engine.homeId })).length > 0);
  const sandbox = await quick.runtime.create(plan);
  expect(await runIn(sandbox, 'echo x >/home/agent/new')).toMatchObject({ exitCode: 0 });
  resolve(capabilities);
  expect((await late).ref).toBe(sandbox.ref);
  expect(await (await late).rootIsUntouched()).toBe(false);
  expect(await runIn(sandbox, 'cat /home/agent/new')).toMatchObject({ stdout: 'x\n' });
  await sandbox.destroy();
  await slow.runtime.close();
  await quick.runtime.close();
});

describe('a root file system of many layers', () => {
  test('is flattened with the configuration of its image, letter by letter', async () => {
    const { runtime, images } = open({ mostLayers: 1 });
    const tag = `oct-test-${engine.homeId.slice(-12)}`;
    const labels = { 'io.opencode-tools.home': engine.homeId };
    const env = ['PATH=/bin', 'ASK=$PATH:${HOME}', 'SAID="a" \\ \\"b\\" \'c\' \\$X', 'EMPTY=', 'EQUALS=a=b'];
    const config = { Env: env, WorkingDir: '/opt/$a "b"', Cmd: ['sh', '-c', 'echo "$PATH"'], Labels: labels };
    const source = await runtime.create(samplePlan(engine.homeId, engine.imageId));
    const { Id } = await engine.call<{ Id: string }>('POST', `/commit?container=${source.ref}&repo=${tag}`, config);
    await source.destroy();
    const sandbox = await runtime.create(samplePlan(engine.homeId, Id));
    await runIn(sandbox, 'echo kept >/opt/file', { cwd: '/' });
    const said = { ...labels, 'said.$': 'a "b" $c \\' };
    const { imageId } = await sandbox.snapshotRoot({ tag: `${tag}:flat`, labels: said });
    await sandbox.destroy();
    const image = await engine.call<{ Config: typeof config; RootFS: { Layers: unknown[] } }>(
      'GET',
      `/images/${imageId}/json`,
    );
    expect(image.RootFS.Layers).toHaveLength(1);
    expect(image.Config).toMatchObject({ ...config, Env: expect.arrayContaining(env) as string[], Labels: said });
    const again = await runtime.create(samplePlan(engine.homeId, imageId));
    expect(await runIn(again, 'cat /opt/file; echo "$ASK"', { cwd: '/' })).toMatchObject({
      stdout: 'kept\n$PATH:${HOME}\n',
    });
    await again.destroy();
    await images.remove(`${tag}:flat`);
    await images.remove(`${tag}:latest`);
    await runtime.close();
  });
});
