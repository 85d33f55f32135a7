import { OpencodeToolsError } from '@opencode-tools/core';
import type { EngineClient } from '../engine/engine-client.ts';
import { readLines } from './progress-lines.ts';

const pullLimitMs = 10 * 60_000;
/** What engines say when a registry does not have an image or keeps it back, and when there is no registry to ask. */
const notThere =
  /not found|manifest unknown|does not exist|access denied|unauthorized|no such host|server misbehaving|connection refused|network is unreachable|i\/o timeout|dial tcp/i;

/**
 * Pulls an image.
 *
 * @throws OpencodeToolsError `OCT_IMAGE_NOT_FOUND` when no registry that can be reached has it or gives it out,
 *   `OCT_IMAGE_PULL_FAILED` when the transfer does not come to its end, `OCT_CANCELLED`
 */
export async function pullImage(
  client: EngineClient,
  reference: string,
  options: {
    readonly signal?: AbortSignal | undefined;
    readonly limitMs?: number;
    readonly onLine?: (line: string) => void;
  } = {},
): Promise<void> {
  const limit = AbortSignal.timeout(options.limitMs ?? pullLimitMs);
  const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
  const query =
    reference.includes('@') || hasTag(reference) ? { fromImage: reference } : { fromImage: reference, tag: 'latest' };
  try {
    const answer = await client.stream({
      method: 'POST',
      path: '/images/create',
      query,
      limitMs: options.limitMs ?? pullLimitMs,
      signal,
    });
    await readLines(answer, options.onLine ?? (() => undefined));
  } catch (error) {
    if (options.signal?.aborted)
      throw new OpencodeToolsError('OCT_CANCELLED', `Pulling ${reference} was cancelled`, { cause: error });
    throw pullError(reference, error, limit.aborted);
  }
}

function hasTag(reference: string): boolean {
  return reference.lastIndexOf(':') > reference.lastIndexOf('/');
}

function pullError(reference: string, cause: unknown, late: boolean): OpencodeToolsError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const details = { image: reference };
  if (notThere.test(message) && !late) {
    return new OpencodeToolsError(
      'OCT_IMAGE_NOT_FOUND',
      `The engine has no image ${reference}, and no registry gave it out: ${message}`,
      {
        remedy:
          'Check the reference and the connection to its registry, or build an image: `opencode-tools images build`.',
        details,
        cause,
      },
    );
  }
  const said = late ? 'no end within the time limit' : message;
  return new OpencodeToolsError('OCT_IMAGE_PULL_FAILED', `Pulling ${reference} did not work: ${said}`, {
    remedy: 'Check the connection to the registry, or use an image of ours: `opencode-tools images build`.',
    details,
    cause,
  });
}
