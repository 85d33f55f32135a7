import { closeSync, fdatasync, ftruncateSync, openSync, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';

const flushFile = promisify(fdatasync);
const writeFile = promisify(write);
/** So much is flushed at once while more is written, so that in the end there is little left to wait for: first less, then more. */
const [firstFlushBytes, mostFlushBytes] = [8 * 1024 * 1024, 64 * 1024 * 1024];
/**
 * So much is written by one call: the kernel takes memory for all of a call at once, and for several mebibytes has to look for it
 * so long that writing them takes several times as long.
 */
const mostWriteBytes = 512 * 1024;
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
    void this.lend(buffer.subarray(0, length), position).then(() => this.#free.push(buffer));
    return next;
  }

  /** Writes bytes in the background. @returns once they are no longer needed; what fails is told by the next call */
  lend(bytes: Uint8Array, position: number): Promise<void> {
    this.#throwFailure();
    return this.#inBackground(async () => {
      let done = 0;
      while (done < bytes.length) {
        done += (await writeFile(this.#file, bytes, done, nextLength(bytes, done), position + done)).bytesWritten;
      }
      this.#flushEarly(bytes.length);
    });
  }

  write(bytes: Uint8Array, position: number): void {
    this.#throwFailure();
    let done = 0;
    while (done < bytes.length) done += writeSync(this.#file, bytes, done, nextLength(bytes, done), position + done);
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
    void this.#inBackground(async () => {
      await flushFile(this.#file);
      this.#isFlushing = false;
    });
  }

  #inBackground(work: () => Promise<void>): Promise<void> {
    const done = work()
      .catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
      })
      .finally(() => this.#working.delete(done));
    this.#working.add(done);
    return done;
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

function nextLength({ length }: Uint8Array, done: number): number {
  return Math.min(mostWriteBytes, length - done);
}
