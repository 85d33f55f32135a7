import { createIds, silentLogger, systemClock } from '@opencode-tools/core';
import { openEngineProxy, openTestEngine, runIn, samplePlan } from '@opencode-tools/testkit';
import { expect, test } from 'vitest';
import { createDockerRuntime } from '../index.ts';
import { oldestApiVersion } from './api-version.ts';

test('an engine that speaks the oldest version alone is all that a sandbox needs', async () => {
  const engine = await openTestEngine();
  const proxy = await openEngineProxy();
  const { MinAPIVersion: oldest = '1.12' } = await engine.call<{ MinAPIVersion?: string }>('GET', '/version');
  if (Number(oldest.split('.')[1]) > Number(oldestApiVersion.split('.')[1])) {
    console.info(`not run: this engine has given version ${oldestApiVersion} up, and takes ${oldest} or newer`);
  } else {
    proxy.speaks = oldestApiVersion;
    const ids = createIds(systemClock);
    const options = { environment: {}, ids, clock: systemClock, logger: silentLogger, baseImages: [] };
    const { runtime, images } = createDockerRuntime({ ...options, endpoint: proxy.endpoint, homeId: engine.homeId });
    const name = `oct-test-${engine.homeId.slice(-12)}`;
    expect((await runtime.capabilities()).engine).toMatchObject({ apiVersion: oldestApiVersion });
    const labels = { 'io.opencode-tools.home': engine.homeId };
    const mount = { kind: 'volume', volume: name, target: '/workspace', readOnly: false, create: labels } as const;
    const sandbox = await runtime.create(samplePlan(engine.homeId, engine.imageId, { mounts: [mount] }));
    expect(
      await runIn(sandbox, 'echo kept >file; cat; echo no >&2; exit 7', { stdin: Buffer.from('in') }),
    ).toMatchObject({
      stdout: 'in',
      stderr: 'no\n',
      exitCode: 7,
    });
    await sandbox.pause();
    await sandbox.unpause();
    await sandbox.update({ memoryBytes: 128 * 1024 ** 2, cpus: 1, pids: 100 });
    expect((await sandbox.stats()).memoryLimitBytes).toBe(128 * 1024 ** 2);
    expect(await sandbox.fence({ minToken: 6, revoked: [] })).toMatchObject({ ended: 0 });
    await sandbox.snapshotRoot({ tag: `${name}:1`, labels });
    await sandbox.destroy();
    await images.remove(`${name}:1`);
    let bytes = 0;
    for await (const chunk of await runtime.volumes.readTree(name)) bytes += chunk.length;
    expect(bytes).toBeGreaterThan(1_000);
    await runtime.volumes.remove(name);
    await runtime.close();
  }
  await proxy.close();
  await engine.close();
});
