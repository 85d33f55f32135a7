import type { Readable } from 'node:stream';
import { OpencodeToolsError, isOpencodeToolsError } from '@opencode-tools/core';
import type { Containers } from './containers.ts';

/** How long an engine may pass on nothing of a stream before it counts as silent. */
export const defaultQuietMs = 120_000;

/** What is done when a stream has been quiet for long; rejecting gives the stream up. */
type OnQuiet = () => Promise<unknown>;

/**
 * Passes on what an engine sends. Only the time in which something is waited for counts, so that a slow reader is no silent
 * engine. The stream is closed however this ends.
 *
 * @param onQuiet for streams that may be quiet for good reason: asks the engine whether it still lives; default: gives up
 * @throws OpencodeToolsError `OCT_TIMEOUT` after that long without a byte, `OCT_ENGINE_UNAVAILABLE` when the connection breaks
 */
export async function* whileProgressing(
  stream: Readable,
  quietMs: number,
  onQuiet: OnQuiet = () => Promise.reject(engineSilent(quietMs)),
): AsyncGenerator<Buffer> {
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const watch = new QuietWatch(quietMs, onQuiet, (error) => stream.destroy(error));
  try {
    for (;;) {
      watch.waitForEngine();
      const next = await chunks.next();
      watch.waitForUs();
      if (next.done === true) return;
      yield next.value;
    }
  } catch (error) {
    throw brokenOff(error);
  } finally {
    watch.waitForUs();
    stream.destroy();
  }
}

/** Gives an engine what it takes; only the time in which it takes nothing counts. */
export async function* watched<T extends Uint8Array>(source: AsyncIterable<T>, watch: QuietWatch): AsyncGenerator<T> {
  const chunks = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      watch.waitForUs();
      const next = await chunks.next();
      watch.waitForEngine();
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await chunks.return?.();
  }
}

/** A promise that an engine keeps, or is given up. */
export async function withinQuiet<T>(promise: Promise<T>, quietMs: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(engineSilent(quietMs)), quietMs);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Measures how long an engine lets itself be waited for. */
export class QuietWatch {
  readonly #quietMs: number;
  readonly #onQuiet: OnQuiet;
  readonly #giveUp: (error: Error) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(quietMs: number, onQuiet: OnQuiet, giveUp: (error: Error) => void) {
    this.#quietMs = quietMs;
    this.#onQuiet = onQuiet;
    this.#giveUp = giveUp;
  }

  /** Something moved, and the engine is to move next. */
  waitForEngine(): void {
    clearTimeout(this.#timer);
    const timer = setTimeout(() => void this.#quiet(timer), this.#quietMs);
    this.#timer = timer;
  }

  waitForUs(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #quiet(timer: NodeJS.Timeout): Promise<void> {
    try {
      await this.#onQuiet();
    } catch (error) {
      if (this.#timer === timer) this.#giveUp(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    if (this.#timer === timer) this.waitForEngine();
  }
}

/** For what may be quiet for good reason: asks whether the container is still there. */
export function stillThere(containers: Pick<Containers, 'find'>, id: string, quietMs: number): OnQuiet {
  return async () => {
    if ((await containers.find(id)) === undefined) throw engineSilent(quietMs);
  };
}

export function engineSilent(quietMs: number): OpencodeToolsError {
  return new OpencodeToolsError('OCT_TIMEOUT', `The engine passed nothing on for ${quietMs} ms`, {
    remedy: 'Look whether the Docker Engine and its disk still answer, then try again.',
    details: { limit: 'engine progress', valueMs: quietMs },
  });
}

function brokenOff(error: unknown): OpencodeToolsError {
  if (isOpencodeToolsError(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new OpencodeToolsError('OCT_ENGINE_UNAVAILABLE', `The connection to the engine broke off: ${message}`, {
    remedy: 'Look whether the Docker Engine was restarted, then try again.',
    cause: error,
  });
}
