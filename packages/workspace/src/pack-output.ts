import { closeSync, fdatasync, ftruncateSync, openSync, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';

const flushFile = promisify(fdatasync);
const writeFile = promisify(write);
/** So much is flushed at once while more is written, so that in the end there is little left to wait for: first less, then more. */
const [firstFlushBytes, mostFlushBytes] = [8 * 1024 * 1024, 64 * 1024 * 1024];
/** Besides the one that is being filled. */
const mostBuffers = 3;
export const outputBufferBytes = 4 * 1024 * 1024;

/** A new file that full buffers are written to in the background, while the next ones are filled. */
export class PackOutput {
  readonly #file: number;
  readonly #free: Buffer[] = [];
  readonly #working = new Set<Promise<void>>();
  #buffers = 0;
  #unflushed = 0;
  #flushBytes = firstFlushBytes;
  #isFlushing = false;
  /** The first of what failed in the background: a flush reports it once. */
  #failure: Error | undefined;

  constructor(path: string) {
    this.#file = openSync(path, 'wx', 0o600);
  }

  /** Writes a buffer, perhaps later. @returns another one to fill, or the same when it has been written */
  hand(buffer: Buffer, length: number, position: number): Buffer {
    const next = this.#free.pop() ?? this.#oneMore();
    if (next === undefined) {
      this.write(buffer.subarray(0, length), position);
      return buffer;
    }
    this.#throwFailure();
    this.#inBackground(async () => {
      let done = 0;
      while (done < length) {
        done += (await writeFile(this.#file, buffer, done, length - done, position + done)).bytesWritten;
      }
      this.#free.push(buffer);
      this.#flushEarly(length);
    });
    return next;
  }

  write(bytes: Uint8Array, position: number): void {
    this.#throwFailure();
    let done = 0;
    while (done < bytes.length) done += writeSync(this.#file, bytes, done, bytes.length - done, position + done);
  }

  /** Waits for what was handed over. */
  async settle(): Promise<void> {
    while (this.#working.size > 0) await Promise.all(this.#working);
  }

  /** Cuts the file to its size and makes it durable. */
  async finish(size: number): Promise<void> {
    await this.settle();
    ftruncateSync(this.#file, size);
    await flushFile(this.#file);
    this.#throwFailure();
  }

  /** Not before everything is settled. */
  close(): void {
    closeSync(this.#file);
  }

  #oneMore(): Buffer | undefined {
    if (this.#buffers === mostBuffers) return undefined;
    this.#buffers += 1;
    return Buffer.allocUnsafeSlow(outputBufferBytes);
  }

  #flushEarly(written: number): void {
    this.#unflushed += written;
    if (this.#unflushed < this.#flushBytes || this.#isFlushing) return;
    this.#flushBytes = Math.min(this.#flushBytes * 2, mostFlushBytes);
    [this.#unflushed, this.#isFlushing] = [0, true];
    this.#inBackground(async () => {
      await flushFile(this.#file);
      this.#isFlushing = false;
    });
  }

  #inBackground(work: () => Promise<void>): void {
    const done = work()
      .catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
      })
      .finally(() => this.#working.delete(done));
    this.#working.add(done);
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
