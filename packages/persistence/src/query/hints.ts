export interface ChangeWait {
  /** Longest wait, in milliseconds. */
  readonly limitMs: number;
  /** Shortest time between two looks at the database, where looking is the only way to know. */
  readonly paceMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Waits for what others commit. */
export interface Watch {
  /**
   * Resolves when something may have changed since the last call, or the time is over. Never rejects.
   *
   * @returns true when somebody has said so, rather than that it is time to look
   */
  changed(wait: ChangeWait): Promise<boolean>;
  close(): void;
}

type Wake = () => void;

/** Wakes the watchers of one process. */
export class Hints {
  readonly #watchers = new Map<string | null, Set<Wake>>();

  /** Null topics wake everyone. */
  wake(topics: readonly string[] | null): void {
    if (this.#watchers.size === 0) return;
    const keys = topics === null ? [...this.#watchers.keys()] : [null, ...topics];
    for (const key of keys) for (const wake of this.#watchers.get(key) ?? []) wake();
  }

  /** Adds a watcher; the returned function takes it away. */
  add(topic: string | null, wake: Wake): () => void {
    const found = this.#watchers.get(topic) ?? new Set();
    this.#watchers.set(topic, found.add(wake));
    return () => {
      found.delete(wake);
      if (found.size === 0 && this.#watchers.get(topic) === found) this.#watchers.delete(topic);
    };
  }
}

/** One watcher's place among the hints: remembers a hint that came while nobody waited. */
export class HintedWatch implements Watch {
  readonly #remove: () => void;
  readonly #nap: (wait: ChangeWait, hinted: Promise<void>) => Promise<void>;
  #missed = false;
  #wake: Wake | null = null;

  /**
   * @param nap waits as long as `hinted` is pending, looking elsewhere for changes meanwhile; resolves on either
   */
  constructor(hints: Hints, topic: string | null, nap: (wait: ChangeWait, hinted: Promise<void>) => Promise<void>) {
    this.#nap = nap;
    this.#remove = hints.add(topic, () => {
      this.#missed = true;
      this.#wake?.();
    });
  }

  async changed(wait: ChangeWait): Promise<boolean> {
    if (!this.#missed && wait.limitMs > 0 && wait.signal?.aborted !== true) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const wake: Wake = () => resolve();
      this.#wake = wake;
      wait.signal?.addEventListener('abort', wake, { once: true });
      await this.#nap(wait, promise);
      wait.signal?.removeEventListener('abort', wake);
      this.#wake = null;
    }
    const hinted = this.#missed;
    this.#missed = false;
    return hinted;
  }

  close(): void {
    this.#remove();
  }
}

/** Sleeps, but not past a hint. */
export async function sleepUntil(hinted: Promise<void>, ms: number): Promise<'hinted' | 'slept'> {
  const { promise, resolve } = Promise.withResolvers<'slept'>();
  const timer = setTimeout(() => resolve('slept'), ms);
  try {
    return await Promise.race([promise, hinted.then(() => 'hinted' as const)]);
  } finally {
    clearTimeout(timer);
  }
}
