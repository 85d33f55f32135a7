import { describe } from 'vitest';
import { type OpenSandboxFiles, useFilesBed } from './sandbox-files/files-bed.ts';
import { describeReading } from './sandbox-files/reading.ts';
import { describeTrees } from './sandbox-files/trees.ts';
import { describeWriting } from './sandbox-files/writing.ts';

export type { OpenSandboxFiles } from './sandbox-files/files-bed.ts';

/** Says what `SandboxHandle.files` does. Called at the top level of a test file. */
export function sandboxFilesContract(name: string, open: () => Promise<OpenSandboxFiles>): void {
  describe(`${name}: files of a sandbox`, () => {
    const bed = useFilesBed(open);
    describeWriting(bed);
    describeReading(bed);
    describeTrees(bed);
  });
}
