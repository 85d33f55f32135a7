import { type HomeId, createIds, silentLogger, systemClock } from '@opencode-tools/core';
import { createDockerRuntime } from '../src/index.ts';

/** The adapter for a home, on the engine that this process's environment names, unless a change says otherwise. */
export function openRuntime(
  homeId: HomeId,
  change: Partial<Parameters<typeof createDockerRuntime>[0]> = {},
): ReturnType<typeof createDockerRuntime> {
  return createDockerRuntime({
    environment: process.env,
    homeId,
    ids: createIds(systemClock),
    clock: systemClock,
    logger: silentLogger,
    ...change,
  });
}
