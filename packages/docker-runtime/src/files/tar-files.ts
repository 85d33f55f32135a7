import type { ByteStream, FileAccess, SandboxPath } from '@opencode-tools/core';
import { QuietWatch, engineSilent, watched } from '../engine/progress.ts';
import { bringIn } from './bring-in.ts';
import { setPath } from './path-text.ts';
import { type RunCommand, runScript, unless } from './run-script.ts';
import { assertTemporary, removeTemporary } from './temporary.ts';

const hourMs = 3_600_000;

interface TreeCopy {
  readonly path: SandboxPath;
  /** How long nothing may move. */
  readonly quietMs: number;
}

interface Extraction {
  readonly tar: ByteStream;
  readonly tell: boolean;
  readonly temporary?: string | undefined;
}

/**
 * Extracts a tar stream; members keep their modes, everything belongs to the commands' user. Where no directory can be made beside
 * the members, as in `/`, it is extracted in place.
 */
export async function extractFiles(
  run: RunCommand,
  access: FileAccess,
  { path, tar, tell, temporary: named, quietMs }: TreeCopy & Extraction,
): Promise<readonly string[]> {
  const temporary = assertTemporary(named);
  const text = [
    setPath('P', path),
    unless('command -v tar >/dev/null', 'noProgram'),
    '[ -d "$P" ] || mkdir -p "$P" || exit 19\n',
    `T=$P/${temporary}\nmkdir "$T" 2>/dev/null || T=\n`,
    `[ ! "$T" ] || trap 'rmdir "$T" 2>/dev/null || { chmod -R u+rwX "$T"; rm -rf "$T"; }' EXIT\n`,
    `tar -x -p -${tell ? 'v' : ''}f - -C "\${T:-$P}" || exit 19\n`,
    `${bringIn}[ ! "$T" ] || bring "$T" "$P" || exit 19\n`,
  ].join('');
  const stalled = new AbortController();
  const watch = watchFor(quietMs, (error) => stalled.abort(error));
  const signals = [stalled.signal, ...(access.signal === undefined ? [] : [access.signal])];
  const watching = { timeoutMs: hourMs, ...access, signal: AbortSignal.any(signals) };
  try {
    const { stdout } = await runScript(run, watching, { path, text, stdin: watched(tar, watch) });
    return lines(stdout);
  } catch (error) {
    const tidying = { ...access, signal: AbortSignal.timeout(10_000) };
    await removeTemporary(run, tidying, { path, temporary }).catch(() => undefined);
    throw stalled.signal.aborted ? stalled.signal.reason : error;
  } finally {
    watch.waitForUs();
  }
}

function lines(stdout: Buffer): readonly string[] {
  return stdout
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '');
}

/** Packs a path as it is found. A failure is thrown where the stream would end. */
export async function* packFiles(
  run: RunCommand,
  access: FileAccess,
  { path, quietMs }: TreeCopy,
): AsyncGenerator<Uint8Array> {
  const text = [
    setPath('P', path),
    unless('[ -e "$P" ] || [ -L "$P" ]', 'absent'),
    unless('command -v tar >/dev/null', 'noProgram'),
    'N=${P##*/}; D=${P%/*}; [ "$N" ] || N=.\n',
    'tar -c -f - -C "${D:-/}" "./$N" || exit 19\n',
  ].join('');
  const stop = new AbortController();
  const queue = new HandOver();
  const watch = watchFor(quietMs, (error) => queue.end({ error }));
  const running = runScript(
    run,
    { timeoutMs: hourMs, ...access },
    { path, text, onStdout: async (chunk) => queue.give(chunk), enough: stop.signal },
  ).then(
    () => queue.end(),
    (error: unknown) => queue.end({ error }),
  );
  try {
    yield* queue.chunks(watch);
  } finally {
    stop.abort();
    queue.close();
    await running;
  }
}

function watchFor(quietMs: number, giveUp: (error: Error) => void): QuietWatch {
  return new QuietWatch(quietMs, () => Promise.reject(engineSilent(quietMs)), giveUp);
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
    this.#ended ??= how;
    this.#news.resolve();
  }

  /** Nobody takes anything any more. */
  close(): void {
    this.#closed = true;
    for (const { taken } of this.#waiting.splice(0)) taken();
  }

  async *chunks(watch: QuietWatch): AsyncGenerator<Uint8Array> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        yield next.chunk;
        next.taken();
      } else if (this.#ended === undefined) {
        watch.waitForEngine();
        await this.#news.promise;
        watch.waitForUs();
        this.#news = Promise.withResolvers<void>();
      } else {
        if ('error' in this.#ended) throw this.#ended.error;
        return;
      }
    }
  }
}
