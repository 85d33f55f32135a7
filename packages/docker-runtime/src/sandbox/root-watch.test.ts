import { silentLogger } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import type { EngineClient } from '../engine/engine-client.ts';
import { LaneLostError, UnknownRequestError } from '../lane/lane.ts';
import { RootWatch } from './root-watch.ts';
import type { SandboxInside } from './sandbox-inside.ts';

function watchOver(answers: readonly (boolean | Error)[]) {
  const left = [...answers];
  const state = { startedAt: 'first' };
  const link = {
    id: 'box',
    logger: silentLogger,
    describe: async () => ({
      State: { Running: true, Paused: false, StartedAt: state.startedAt },
      HostConfig: { ReadonlyRootfs: false },
    }),
    askOfRoot: async () => {
      const answer = left.shift() ?? true;
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
  return { watch: new RootWatch(link as unknown as SandboxInside, {} as EngineClient), state };
}

test('a root file system that could not be looked at once is looked at again', async () => {
  const { watch } = watchOver([new LaneLostError('The stream to the sandbox ended'), true]);
  expect(await watch.isUntouched()).toBe(false);
  expect(await watch.isUntouched()).toBe(true);
});

test('a supervisor that does not know the question is not asked again until the container starts anew', async () => {
  const { watch, state } = watchOver([new UnknownRequestError('The supervisor of the sandbox does not know same')]);
  expect(await watch.isUntouched()).toBe(false);
  expect(await watch.isUntouched()).toBe(false);
  state.startedAt = 'second';
  expect(await watch.isUntouched()).toBe(true);
});
