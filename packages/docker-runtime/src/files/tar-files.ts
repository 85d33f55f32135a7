import type { ByteStream, FileAccess, SandboxPath } from '@opencode-tools/core';
import { setPath } from './path-text.ts';
import { type RunCommand, runScript, unless } from './run-script.ts';

const hourMs = 3_600_000;

/** Extracts a tar stream; members keep their modes, everything belongs to the commands' user. */
export async function extractFiles(
  run: RunCommand,
  access: FileAccess,
  { path, tar, tell }: { readonly path: SandboxPath; readonly tar: ByteStream; readonly tell: boolean },
): Promise<readonly string[]> {
  const text = [
    setPath('P', path),
    unless('command -v tar >/dev/null', 'noProgram'),
    '[ -d "$P" ] || mkdir -p "$P" || exit 19\n',
    `tar -x -p -${tell ? 'v' : ''}f - -C "$P" || exit 19\n`,
  ].join('');
  const { stdout } = await runScript(run, { timeoutMs: hourMs, ...access }, { path, text, stdin: tar });
  return stdout
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '');
}

/** Packs a path as it is found. A failure is thrown where the stream would end. */
export async function* packFiles(run: RunCommand, access: FileAccess, path: SandboxPath): AsyncGenerator<Uint8Array> {
  const text = [
    setPath('P', path),
    unless('[ -e "$P" ] || [ -L "$P" ]', 'absent'),
    unless('command -v tar >/dev/null', 'noProgram'),
    'N=${P##*/}; D=${P%/*}; [ "$N" ] || N=.\n',
    'tar -c -f - -C "${D:-/}" "./$N" || exit 19\n',
  ].join('');
  const stop = new AbortController();
  const queue = new HandOver();
  const running = runScript(
    run,
    { timeoutMs: hourMs, ...access },
    { path, text, onStdout: async (chunk) => queue.give(chunk), enough: stop.signal },
  ).then(
    () => queue.end(),
    (error: unknown) => queue.end({ error }),
  );
  try {
    yield* queue.chunks();
  } finally {
    stop.abort();
    queue.close();
    await running;
  }
}

/** Passes chunks from one side to the other: who gives is held back until what was given is taken. */
class HandOver {
  readonly #waiting: { readonly chunk: Uint8Array; readonly taken: () => void }[] = [];
  #ended: { readonly error?: unknown } | undefined;
  #closed = false;
  #news = Promise.withResolvers<void>();

  async give(chunk: Uint8Array): Promise<void> {
    if (this.#closed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ chunk: Uint8Array.from(chunk), taken: resolve });
    this.#news.resolve();
    await promise;
  }

  end(how: { readonly error?: unknown } = {}): void {
    this.#ended = how;
    this.#news.resolve();
  }

  /** Nobody takes anything any more. */
  close(): void {
    this.#closed = true;
    for (const { taken } of this.#waiting.splice(0)) taken();
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        yield next.chunk;
        next.taken();
      } else if (this.#ended === undefined) {
        await this.#news.promise;
        this.#news = Promise.withResolvers<void>();
      } else {
        if ('error' in this.#ended) throw this.#ended.error;
        return;
      }
    }
  }
}
