import { createIds, silentLogger, systemClock } from '@opencode-tools/core';
import { type OpenSandboxFiles, type TestEngine, openTestEngine, sandboxFilesContract } from '@opencode-tools/testkit';
import { createDockerRuntime } from '../index.ts';

async function open(imageOf: (engine: TestEngine) => Promise<string> | string): Promise<OpenSandboxFiles> {
  const engine = await openTestEngine();
  const { homeId } = engine;
  const clock = systemClock;
  const { runtime } = createDockerRuntime({
    environment: process.env,
    homeId,
    ids: createIds(clock),
    clock,
    logger: silentLogger,
    baseImages: [],
  });
  return {
    runtime,
    homeId,
    imageId: await imageOf(engine),
    close: async () => {
      await runtime.close();
      await engine.close();
    },
  };
}

sandboxFilesContract('Docker with busybox', async () => open((engine) => engine.imageId));
sandboxFilesContract('Docker with GNU programs', async () => open((engine) => engine.gnuImage()));
