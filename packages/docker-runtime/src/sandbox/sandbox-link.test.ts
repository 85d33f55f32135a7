import { OpencodeToolsError, silentLogger } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import type { Containers } from '../engine/containers.ts';
import type { SandboxUser } from './sandbox-inside.ts';
import { SandboxLink } from './sandbox-link.ts';

const user: SandboxUser = { uid: 1000, gid: 1000, pids: null, hasShell: true };

test('an engine that does not answer is asked once for the end of a command, not for one fact after the other', async () => {
  const silence = new OpencodeToolsError('OCT_ENGINE_UNAVAILABLE', 'The engine is not available: no answer');
  let asked = 0;
  const find = async (): Promise<never> => {
    asked += 1;
    throw silence;
  };
  const link = new SandboxLink({ find } as unknown as Containers, 'box', user, silentLogger);
  await expect(link.cut(1)).rejects.toBe(silence);
  expect(asked).toBe(1);
});
