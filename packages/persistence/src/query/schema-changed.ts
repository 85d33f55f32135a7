import { type ErrorOptions, OpencodeToolsError } from '@opencode-tools/core';

/** The answer to a process that has a registry open whose schema was taken back since. Nothing of its change was written. */
export function schemaChanged(location: string, how: string, options: ErrorOptions = {}): OpencodeToolsError {
  return new OpencodeToolsError(
    'OCT_STORE_UNAVAILABLE',
    `The schema of the registry ${location} was changed while it was open: ${how}`,
    {
      ...options,
      remedy: 'Start this process again, or run `opencode-tools db migrate`: both bring the schema forward.',
    },
  );
}
