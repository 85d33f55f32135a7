import type { WriteStream } from 'node:tty';

/**
 * The two outputs of a process. A reader that goes away (`… | head`) is no failure: what follows is dropped and
 * `readerGone` is aborted, so that work whose only purpose is output can end.
 */
export class Terminal {
  readonly #stdout: NodeJS.WritableStream;
  readonly #stderr: NodeJS.WritableStream;
  readonly #readerGone = new AbortController();
  #failure: Error | undefined;

  constructor(stdout: NodeJS.WritableStream, stderr: NodeJS.WritableStream) {
    this.#stdout = stdout;
    this.#stderr = stderr;
    stdout.on('error', (error: NodeJS.ErrnoException) => this.#lost(error));
    stderr.on('error', () => undefined);
  }

  get readerGone(): AbortSignal {
    return this.#readerGone.signal;
  }

  /** How many characters fit; undefined when stdout is no terminal. */
  get size(): { readonly columns: number; readonly rows: number } | undefined {
    const { isTTY, columns = 0, rows = 0 } = this.#stdout as Partial<WriteStream>;
    return isTTY === true ? { columns, rows } : undefined;
  }

  /** Calls back when the size has changed. Returns what ends that. */
  onResize(callback: () => void): () => void {
    this.#stdout.on('resize', callback);
    return () => void this.#stdout.off('resize', callback);
  }

  write(chunk: string | Uint8Array): void {
    if (!this.#readerGone.signal.aborted) this.#stdout.write(chunk);
  }

  /**
   * Writes what comes from elsewhere.
   *
   * @returns a promise while the reader is behind; it settles when more may come, or when nobody reads any more
   */
  pass(stream: 'stdout' | 'stderr', chunk: Uint8Array): Promise<void> | undefined {
    const out = stream === 'stdout' ? this.#stdout : this.#stderr;
    if (!out.writable || (stream === 'stdout' && this.#readerGone.signal.aborted)) return undefined;
    return out.write(chunk) ? undefined : drained(out);
  }

  writeError(chunk: string | Uint8Array): void {
    this.#stderr.write(chunk);
  }

  /** Waits until all is with the operating system. @throws what an output failed with, a gone reader excepted */
  async flush(): Promise<void> {
    await Promise.all([settle(this.#stdout), settle(this.#stderr)]);
    if (this.#failure !== undefined) throw this.#failure;
  }

  #lost(error: NodeJS.ErrnoException): void {
    if (error.code !== 'EPIPE') this.#failure ??= error;
    this.#readerGone.abort(error);
  }
}

async function drained(stream: NodeJS.WritableStream): Promise<void> {
  const events = ['drain', 'error', 'close'] as const;
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const event of events) stream.once(event, resolve);
  await promise;
  for (const event of events) stream.removeListener(event, resolve);
}

function settle(stream: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve) => {
    if (!stream.writable) resolve();
    else stream.write('', () => resolve());
  });
}
