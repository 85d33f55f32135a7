import { createIds, silentLogger, systemClock } from '@opencode-tools/core';
import { openTestEngine } from '@opencode-tools/testkit';
import { expect, test } from 'vitest';
import { createDockerRuntime } from '../create-docker-runtime.ts';

test('a volume goes although a killed process left its helper container on it', async () => {
  const engine = await openTestEngine();
  const { homeId } = engine;
  const ids = createIds(systemClock);
  const { runtime } = createDockerRuntime({
    environment: process.env,
    homeId,
    ids,
    clock: systemClock,
    logger: silentLogger,
  });
  try {
    const name = `oct-test-${ids.random()}`;
    await runtime.volumes.create({
      name,
      labels: { 'io.opencode-tools.home': homeId },
      owner: { uid: 1000, gid: 1000 },
    });
    await engine.call('POST', '/containers/create', {
      Image: engine.imageId,
      Cmd: ['true'],
      Labels: { 'io.opencode-tools.home': homeId, 'io.opencode-tools.kind': 'helper' },
      HostConfig: { Mounts: [{ Type: 'volume', Source: name, Target: '/volume' }] },
    });
    await runtime.volumes.remove(name);
    expect(await runtime.volumes.find(name)).toBeUndefined();
    expect(await engine.leftovers()).toEqual([]);
  } finally {
    await runtime.close();
    await engine.close();
  }
});
