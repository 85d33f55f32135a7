import { describe, expect, test } from 'vitest';
import { backgroundOfSandbox } from './sandbox-runtime/background.ts';
import { commandsOfSandbox } from './sandbox-runtime/commands.ts';
import { fenceOfSandbox } from './sandbox-runtime/fence.ts';
import { lifeOfSandbox } from './sandbox-runtime/life.ts';
import { outputsOfSandbox } from './sandbox-runtime/outputs.ts';
import { rootOfSandbox } from './sandbox-runtime/root.ts';
import { shellsOfSandbox } from './sandbox-runtime/shells.ts';
import { terminalsOfSandbox } from './sandbox-runtime/terminals.ts';
import { type OpenSandboxRuntime, useSandboxBed } from './sandbox-runtime/sandbox-bed.ts';

export type { OpenSandboxRuntime };

/** Says what every `SandboxRuntime` does, subject by subject. Called at the top level of a test file. */
export function sandboxRuntimeContract(name: string, open: () => Promise<OpenSandboxRuntime>): void {
  describe(`${name} as a sandbox runtime`, () => {
    const bed = useSandboxBed(open);
    commandsOfSandbox(bed);
    outputsOfSandbox(bed);
    backgroundOfSandbox(bed);
    shellsOfSandbox(bed);
    terminalsOfSandbox(bed);
    fenceOfSandbox(bed);
    lifeOfSandbox(bed);
    rootOfSandbox(bed);

    test('says that an image is missing', async () => {
      const imageId = `sha256:${'0'.repeat(64)}`;
      await expect(bed.runtime().create(bed.plan({ imageId }))).rejects.toMatchObject({ code: 'OCT_IMAGE_NOT_FOUND' });
    });
  });
}
