import { OpencodeToolsError } from '@opencode-tools/core';

/** @param what that cannot be had in an image without a shell, as the beginning of a sentence */
export function needsShell(what: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_CAPABILITY_UNSUPPORTED', `${what} needs a shell, which the image does not have`, {
    remedy: 'Run a program with its arguments instead, or use an image with a shell, such as opencode-sandbox-base.',
    details: { capability: 'shell' },
  });
}
