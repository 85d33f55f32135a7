import { type Hash, createHash } from 'node:crypto';
import type { OutputSink, OutputSummary } from '@opencode-tools/core';
import type { NewFile } from './new-file.ts';
import { OutputBlocks } from './output-blocks.ts';

/** A long output is written in parts of about this size, or as often as a reader that follows it would look. */
const partBytes = 1024 ** 2;
const partMs = 20;

/**
 * Writes one output to its file in the background, digesting it on the way. What comes is kept until it is written, so a
 * caller with much to write waits for `drained` now and then.
 */
export class FileOutputSink implements OutputSink {
  readonly #file: NewFile;
  readonly #hash: Hash = createHash('sha256');
  readonly #pending = new OutputBlocks();
  #bytes = 0;
  #writing: Promise<void> | null = null;
  #later: NodeJS.Timeout | null = null;
  #failure: { readonly error: unknown } | null = null;
  #summary: Promise<OutputSummary> | null = null;

  constructor(file: NewFile) {
    this.#file = file;
  }

  write(chunk: Uint8Array): void {
    if (chunk.byteLength === 0 || this.#failure !== null || this.#summary !== null) return;
    this.#hash.update(chunk);
    this.#bytes += chunk.byteLength;
    this.#pending.add(chunk);
    if (!this.#pending.isLong || this.#pending.waitingBytes >= partBytes) this.#write();
    else this.#later ??= setTimeout(() => this.#write(), partMs);
  }

  async drained(): Promise<void> {
    this.#write();
    await this.#writing;
    if (this.#failure !== null) throw this.#failure.error;
  }

  async close(): Promise<OutputSummary> {
    return (this.#summary ??= this.#finish());
  }

  async #finish(): Promise<OutputSummary> {
    try {
      await this.drained();
      return { bytes: this.#bytes, digest: this.#hash.digest('hex') };
    } finally {
      this.#pending.drop();
      await this.#file.close();
    }
  }

  #write(): void {
    if (this.#later !== null) clearTimeout(this.#later);
    this.#later = null;
    if (!this.#pending.isEmpty) this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    // Chunks that arrive in one turn of the event loop go out together.
    await Promise.resolve();
    try {
      while (!this.#pending.isEmpty) await this.#file.append(this.#pending.take());
    } catch (error) {
      this.#failure = { error };
      this.#pending.drop();
    } finally {
      this.#writing = null;
    }
  }
}
