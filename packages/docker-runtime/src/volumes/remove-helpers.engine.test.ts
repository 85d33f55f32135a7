import { createIds, silentLogger, systemClock } from '@opencode-tools/core';
import { openTestEngine, until } from '@opencode-tools/testkit';
import { expect, test } from 'vitest';
import { openRuntime } from '../../test/open-runtime.ts';
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

test('helpers are listed but while they run, with when they ended', async () => {
  const engine = await openTestEngine();
  const { homeId } = engine;
  const { runtime } = openRuntime(homeId);
  const labels = { 'io.opencode-tools.home': homeId, 'io.opencode-tools.kind': 'helper' };
  try {
    const command = {
      Image: engine.imageId,
      Cmd: ['sleep', '600'],
      Labels: labels,
      HostConfig: { NetworkMode: 'none' },
    };
    const { Id } = await engine.call<{ Id: string }>('POST', '/containers/create', command);
    expect(await runtime.listHelpers({ homeId })).toMatchObject([{ ref: Id, endedAt: null }]);
    await engine.call('POST', `/containers/${Id}/start`);
    expect(await runtime.listHelpers({ homeId })).toEqual([]);
    const before = Date.now();
    await engine.call('POST', `/containers/${Id}/kill`);
    await until(async () => (await runtime.listHelpers({ homeId })).length > 0);
    const [{ endedAt } = { endedAt: null }] = await runtime.listHelpers({ homeId });
    expect(Date.parse(endedAt ?? '')).toBeGreaterThan(before - 60_000);
    await runtime.removeHelper(Id);
  } finally {
    await runtime.close();
    await engine.close();
  }
});
