import { type Hash, createHash } from 'node:crypto';
import type { OutputSink, OutputSummary } from '@opencode-tools/core';
import type { NewFile } from './new-file.ts';

/**
 * Writes one output to its file in the background, digesting it on the way. Chunks are kept until they are written, so a
 * caller with much to write waits for `drained` now and then.
 */
export class FileOutputSink implements OutputSink {
  readonly #file: NewFile;
  readonly #hash: Hash = createHash('sha256');
  #bytes = 0;
  #pending: Uint8Array[] = [];
  #writing: Promise<void> | null = null;
  #failure: { readonly error: unknown } | null = null;
  #summary: Promise<OutputSummary> | null = null;

  constructor(file: NewFile) {
    this.#file = file;
  }

  write(chunk: Uint8Array): void {
    if (chunk.byteLength === 0 || this.#failure !== null || this.#summary !== null) return;
    this.#hash.update(chunk);
    this.#bytes += chunk.byteLength;
    this.#pending.push(chunk);
    this.#writing ??= this.#writeAll();
  }

  async drained(): Promise<void> {
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
      await this.#file.close();
    }
  }

  async #writeAll(): Promise<void> {
    // Chunks that arrive in one turn of the event loop go out together.
    await Promise.resolve();
    try {
      while (this.#pending.length > 0) {
        const chunks = this.#pending;
        this.#pending = [];
        await this.#file.append(chunks);
      }
    } catch (error) {
      this.#failure = { error };
      this.#pending = [];
    } finally {
      this.#writing = null;
    }
  }
}
