import type { Readable } from 'node:stream';
import { type BuildProgress, OpencodeToolsError } from '@opencode-tools/core';
import type { EngineClient } from '../engine/engine-client.ts';
import { EngineError } from '../engine/engine-error.ts';
import { readLines } from './progress-lines.ts';

const buildLimitMs = 30 * 60_000;
const built = /^Successfully built ([0-9a-f]{12,64})$/;

const builderTalk = /^\s*(?:--->.*|Removing intermediate container .*|Step \d+\/\d+ : .*)?$/;

export interface BuildRequest {
  /** A tar with the Dockerfile in it. */
  readonly context: Readable;
  readonly dockerfile?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly noCache?: true;
}

/**
 * Has the engine build an image.
 *
 * @returns its content id
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` with what the builder said, when a step fails
 */
export async function buildOnEngine(
  client: EngineClient,
  { context, dockerfile = 'Dockerfile', labels = {}, noCache }: BuildRequest,
  { onLine, signal }: { readonly onLine: BuildProgress; readonly signal?: AbortSignal | undefined },
): Promise<string> {
  const query = { dockerfile, labels: JSON.stringify(labels), rm: true, forcerm: true, nocache: noCache === true };
  let id: string | undefined;
  const words: string[] = [];
  try {
    const answer = await client.stream({
      method: 'POST',
      path: '/build',
      query,
      file: context,
      limitMs: buildLimitMs,
      signal,
    });
    await readLines(answer, (line) => {
      id = built.exec(line.trim())?.[1] ?? id;
      if (!builderTalk.test(line)) words.push(line.trim());
      onLine(line);
    });
  } catch (error) {
    if (signal?.aborted) throw new OpencodeToolsError('OCT_CANCELLED', 'The build was cancelled', { cause: error });
    if (!(error instanceof EngineError)) throw error;
    throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The image could not be built: ${error.message}`, {
      remedy: `Mend the Dockerfile or the step that failed. It last said: ${words.slice(-3).join(' | ').slice(-400)}`,
      details: { argument: 'recipe' },
      cause: error,
    });
  }
  if (id === undefined) throw new Error('The engine said no id of the image that it built');
  const { Id } = await client.call<{ Id: string }>({ method: 'GET', path: `/images/${id}/json` });
  return Id;
}
