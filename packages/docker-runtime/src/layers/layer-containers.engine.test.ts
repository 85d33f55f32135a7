import { type TestEngine, openTestEngine } from '@opencode-tools/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Containers } from '../engine/containers.ts';
import { Engine } from '../engine/engine.ts';
import { runOnce } from './layer-containers.ts';

let testEngine: TestEngine;
beforeAll(async () => {
  testEngine = await openTestEngine();
});
afterAll(async () => {
  await testEngine.close();
});

test('work on layers that fails is told, however fast it ends', async () => {
  const { client } = await new Engine(process.env).find();
  const engine = { client, containers: new Containers(client) };
  const run = async (script: string): Promise<Buffer> =>
    runOnce(engine, {
      Image: testEngine.imageId,
      Cmd: ['sh', '-c', script],
      Labels: { 'io.opencode-tools.home': testEngine.homeId },
      AttachStdout: true,
      AttachStderr: true,
      HostConfig: { NetworkMode: 'none' },
    });
  for (const script of ['echo why >&2; exit 3', 'echo half; sleep 0.2; echo why >&2; exit 3'])
    await expect(run(script)).rejects.toMatchObject({ message: expect.stringContaining('why') as string });
  expect((await run('echo whole')).toString()).toBe('whole\n');
});
