import { type LiveLimits, OpencodeToolsError } from '@opencode-tools/core';
import { EngineError, hasStatus } from '../engine/engine-error.ts';

/** Says what kept an engine from changing the limits of a container. */
export function updateError(error: unknown, limits: LiveLimits): unknown {
  if (!(error instanceof EngineError) || hasStatus(error, 404)) return error;
  if (/busy|in use|current usage|memory\.(limit_in_bytes|memsw|max)/i.test(error.message)) {
    return new OpencodeToolsError('OCT_RESOURCE_LIMIT', `More memory is in use than ${limits.memoryBytes} bytes`, {
      remedy: 'End what uses the memory, or give a higher limit.',
      details: { limit: 'memory', valueBytes: limits.memoryBytes },
      cause: error,
    });
  }
  if (!hasStatus(error, 400, 500, 501)) return error;
  return new OpencodeToolsError('OCT_CAPABILITY_UNSUPPORTED', 'The engine cannot change these limits while it runs', {
    remedy: 'Have the sandbox made anew with them: update it with `recreate`.',
    details: { capability: 'update' },
    cause: error,
  });
}
