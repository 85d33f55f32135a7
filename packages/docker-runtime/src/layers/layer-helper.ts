import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { OpencodeToolsError, printable } from '@opencode-tools/core';
import type { Containers } from '../engine/containers.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import { QuietWatch, stillThere } from '../engine/progress.ts';
import { Demultiplexer } from '../lane/demultiplex.ts';

interface HelperEngine {
  readonly client: EngineClient;
  readonly containers: Containers;
}

interface Answer {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

/**
 * A container that does what `layer/layer.c` is asked for, one request after the other, for as long as this process lives: its input
 * ends with the process, it then ends itself, and the engine removes it.
 */
export class LayerHelper {
  readonly #containers: Containers;
  readonly #id: string;
  readonly #stream: Duplex;
  readonly #demultiplexer: Demultiplexer;
  #queue: Promise<unknown> = Promise.resolve();
  #stdout: Buffer[] = [];
  #stderr: Buffer[] = [];
  #onChunk: () => void = () => undefined;
  #ended: Error | undefined;

  readonly #quietMs: number;

  private constructor({ client, containers }: HelperEngine, id: string, stream: Duplex) {
    this.#containers = containers;
    this.#quietMs = client.quietMs;
    this.#id = id;
    this.#stream = stream;
    this.#demultiplexer = new Demultiplexer(
      (chunk) => this.#stdout.push(chunk),
      (chunk) => this.#stderr.push(chunk),
    );
    stream.on('data', (chunk: Buffer) => {
      this.#demultiplexer.push(chunk);
      this.#onChunk();
    });
    for (const event of ['end', 'close', 'error']) {
      stream.on(event, () => {
        this.#ended ??= new Error('The helper container for layers ended');
        this.#onChunk();
      });
    }
  }

  /** @param options of a container whose main process is the program without words */
  static async start(engine: HelperEngine, options: object): Promise<LayerHelper> {
    const { containers } = engine;
    const id = await containers.create(undefined, options);
    try {
      return await containers.startAttached(id, { stdin: true }, (stream) => new LayerHelper(engine, id, stream));
    } catch (error) {
      await containers.remove(id).catch(() => undefined);
      throw error;
    }
  }

  get usable(): boolean {
    return this.#ended === undefined;
  }

  /**
   * Gives what a request wrote.
   *
   * @throws OpencodeToolsError `OCT_INTERNAL` with what it said when it fails
   */
  async ask(request: Buffer): Promise<Buffer> {
    const turn = this.#queue.then(async () => this.#ask(request));
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  async close(): Promise<void> {
    this.#ended ??= new Error('The helper container for layers was closed');
    this.#stream.destroy();
    await this.#containers.remove(this.#id);
  }

  async #ask(request: Buffer): Promise<Buffer> {
    const nonce = randomBytes(12).toString('hex');
    [this.#stdout, this.#stderr] = [[], []];
    this.#stream.write(Buffer.concat([Buffer.from(`${nonce} ${request.length}\n`), request]));
    const { stdout, stderr, code } = await this.#watched(this.#answer(nonce));
    if (code === 0) return stdout;
    throw failed(code, stderr);
  }

  /** A request may say nothing for long: meanwhile the engine is asked whether the helper is still there. */
  async #watched<T>(answer: Promise<T>): Promise<T> {
    const watch = new QuietWatch(this.#quietMs, stillThere(this.#containers, this.#id, this.#quietMs), (error) => {
      this.#ended ??= error;
      this.#stream.destroy();
      this.#onChunk();
    });
    watch.waitForEngine();
    try {
      return await answer;
    } finally {
      watch.waitForUs();
    }
  }

  async #answer(nonce: string): Promise<Answer & { readonly code: number }> {
    return new Promise((resolve, reject) => {
      this.#onChunk = () => {
        const out = ending(this.#stdout, nonce);
        const err = ending(this.#stderr, nonce);
        if (out !== undefined && err !== undefined) {
          this.#onChunk = () => undefined;
          resolve({ stdout: out.body, stderr: err.body, code: out.code });
        } else if (this.#ended !== undefined) reject(this.#ended);
      };
      this.#onChunk();
    });
  }
}

function ending(
  chunks: readonly Buffer[],
  nonce: string,
): { readonly body: Buffer; readonly code: number } | undefined {
  const last = chunks.at(-1);
  if (last === undefined || last.at(-1) !== 0x0a) return undefined;
  const all = chunks.length === 1 ? last : Buffer.concat(chunks);
  const at = all.lastIndexOf(`\n${nonce} `);
  if (at === -1) return undefined;
  return { body: all.subarray(0, at), code: Number(all.toString('latin1', at + nonce.length + 2).trim()) };
}

export function failed(code: number, stderr: Buffer): OpencodeToolsError {
  const said = printable(stderr.toString('utf8').trim().slice(-2_000));
  return new OpencodeToolsError('OCT_INTERNAL', `The engine's layers could not be worked on (${code}): ${said}`);
}
