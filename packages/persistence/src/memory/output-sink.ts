import { type Hash, createHash } from 'node:crypto';
import type { OutputSink, OutputSummary } from '@opencode-tools/core';
import { DigestThread, type FollowedFile } from './digest-thread.ts';
import type { NewFile } from './new-file.ts';
import { OutputBlocks } from './output-blocks.ts';
import { summariseFile } from './summarise-file.ts';

/** A long output is written in parts of about this size, or as often as a reader that follows it would look. */
const partBytes = 1024 ** 2;
const partMs = 20;
/** From here on an output is digested in another thread, which takes about as long to start as digesting three times as much. */
const mostDigestedHere = 8 * 1024 ** 2;
const digestThread = new DigestThread();

/**
 * Writes one output to its file in the background, digesting it on the way, or what was written of one that turns out to be long.
 * What comes is kept until it is written, so a caller with much to write waits for `drained` now and then.
 */
export class FileOutputSink implements OutputSink {
  readonly #file: NewFile;
  readonly #thread: Pick<DigestThread, 'follow'>;
  readonly #hash: Hash = createHash('sha256');
  readonly #pending = new OutputBlocks();
  #followed: FollowedFile | null = null;
  #mayFollow = DigestThread.isWorthIt;
  #bytes = 0;
  #writtenBytes = 0;
  #writing: Promise<void> | null = null;
  #later: NodeJS.Timeout | null = null;
  #failure: { readonly error: unknown } | null = null;
  #summary: Promise<OutputSummary> | null = null;

  constructor(file: NewFile, thread: Pick<DigestThread, 'follow'> = digestThread) {
    this.#file = file;
    this.#thread = thread;
  }

  write(chunk: Uint8Array): void {
    if (chunk.byteLength === 0 || this.#failure !== null || this.#summary !== null) return;
    if (this.#followed === null) this.#hash.update(chunk);
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
      return { bytes: this.#bytes, digest: await this.#digest() };
    } finally {
      this.#pending.drop();
      // The thread reads the file of one that failed to its end, too.
      await this.#followed?.end(this.#writtenBytes).catch(() => undefined);
      await this.#file.close();
    }
  }

  async #digest(): Promise<string> {
    const { handle } = this.#file;
    const followed = this.#followed;
    if (followed === null || handle === null) return this.#hash.digest('hex');
    this.#followed = null;
    return followed.end(this.#writtenBytes).catch(async () => (await summariseFile(handle)).digest);
  }

  #write(): void {
    if (this.#later !== null) clearTimeout(this.#later);
    this.#later = null;
    if (!this.#pending.isEmpty) this.#writing ??= this.#writeAll();
  }

  /** From its beginning: what was digested of it here cannot be handed over. */
  #follow(): void {
    const { handle } = this.#file;
    if (this.#writtenBytes > mostDigestedHere && handle !== null && this.#mayFollow) {
      try {
        this.#followed ??= this.#thread.follow(handle.fd);
      } catch {
        // A process that may have no threads goes on by itself.
        this.#mayFollow = false;
      }
    }
    this.#followed?.grown(this.#writtenBytes);
  }

  async #writeAll(): Promise<void> {
    // Chunks that arrive in one turn of the event loop go out together.
    await Promise.resolve();
    try {
      while (!this.#pending.isEmpty) {
        this.#writtenBytes += this.#pending.waitingBytes;
        await this.#file.append(this.#pending.take());
        this.#follow();
      }
    } catch (error) {
      this.#failure = { error };
      this.#pending.drop();
    } finally {
      this.#writing = null;
    }
  }
}
