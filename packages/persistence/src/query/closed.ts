import { OpencodeToolsError } from '@opencode-tools/core';

/** What whoever still reads or writes gets when the home was closed. */
export function registryClosed(cause?: unknown): OpencodeToolsError {
  return new OpencodeToolsError('OCT_STORE_UNAVAILABLE', 'The home is closed', {
    remedy: 'Open the home again, and use the services that this gives.',
    cause,
  });
}
