/** Sends progress for one call. */
export interface Progress {
  report(message: string): void;
  /** Nothing is sent after it. */
  end(): void;
}

/** Least time between two notifications. */
const spacingMs = 500;
/** Most time without one: clients abort calls that stay silent (OpenCode after 60 s, or its configured limit). */
const silenceMs = 5_000;

/**
 * Reports to a client that asked for progress: at once when something changes, but not too often, and again while nothing
 * changes, so that the client's clock does not run out.
 *
 * @param send gets a number that grows by one, and a message
 */
export function createProgress(send: (progress: number, message: string) => void): Progress {
  const startedMs = performance.now();
  let message = 'working';
  let sentMs = -Infinity;
  let count = 0;
  const emit = () => {
    sentMs = performance.now();
    count += 1;
    send(count, `${message} (${Math.round((sentMs - startedMs) / 1_000)} s)`);
  };
  const timer = setInterval(emit, silenceMs).unref();
  return {
    report(next) {
      message = next;
      if (performance.now() - sentMs >= spacingMs) emit();
    },
    end: () => clearInterval(timer),
  };
}

export const silentProgress: Progress = { report: () => undefined, end: () => undefined };
