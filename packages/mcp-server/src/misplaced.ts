import { OpencodeToolsError } from '@opencode-tools/core';

/** The error for an argument that has no meaning beside the others. */
export function misplaced(argument: string, remedy: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `${argument} does not fit the other arguments`, {
    remedy,
    details: { argument },
  });
}
