import { type VolumePort, createIds, silentLogger, systemClock } from '@opencode-tools/core';
import { openTestEngine, runIn, samplePlan } from '@opencode-tools/testkit';
import { expect, test } from 'vitest';
import { pack } from 'tar-stream';
import { createDockerRuntime } from '../index.ts';

test('the base image is built once for the same inputs, and serves as a sandbox', { timeout: 900_000 }, async () => {
  const engine = await openTestEngine();
  const ids = createIds(systemClock);
  const { images, runtime } = createDockerRuntime({
    environment: process.env,
    homeId: engine.homeId,
    ids,
    clock: systemClock,
    logger: silentLogger,
  });
  const built = await images.build('opencode-sandbox-base');
  const lines: string[] = [];
  expect(await images.build('opencode-sandbox-base', { onProgress: (line) => lines.push(line) })).toEqual(built);
  expect(lines).toEqual(['opencode-sandbox-base:latest is up to date']);
  expect(built.references).toContain('opencode-sandbox-base:latest');
  expect(built.sizeBytes).toBeLessThan(200e6);
  await expectExactTimes(runtime.volumes, engine.homeId);
  const sandbox = await runtime.create(samplePlan(engine.homeId, built.id));
  try {
    const script =
      'id -un; touch /workspace/a /home/agent/a /usr/local/bin/a /opt/a && git --version | cut -c1-11; getent hosts localhost | head -1 | tr -s " "';
    expect((await runIn(sandbox, script)).stdout).toBe('agent\ngit version\n::1 localhost ip6-localhost\n');
  } finally {
    await sandbox.destroy();
    await runtime.close();
    await engine.close();
  }
});

/** With its tar, volumes are read to the nanosecond. */
async function expectExactTimes(volumes: VolumePort, homeId: string): Promise<void> {
  const name = `oct-test-${homeId.slice(-12)}`;
  await volumes.create({ name, labels: { 'io.opencode-tools.home': homeId }, owner: { uid: 1000, gid: 1000 } });
  try {
    const tar = pack();
    const facts = { mode: 0o600, uid: 1000, gid: 1000, pax: { mtime: '1700000000.123456789' } };
    tar.entry({ name: 'exact', ...facts }, 'x');
    tar.finalize();
    await volumes.writeTree(name, tar as unknown as AsyncIterable<Uint8Array>);
    const read: Uint8Array[] = [];
    for await (const chunk of await volumes.readTree(name)) read.push(chunk);
    expect(Buffer.concat(read).toString('latin1')).toContain('mtime=1700000000.123456789\n');
  } finally {
    await volumes.remove(name);
  }
}
