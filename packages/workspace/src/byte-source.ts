import type { ByteStream } from '@opencode-tools/core';

/** Takes exact numbers of bytes from a stream of chunks of any size. */
export class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #current: Buffer = Buffer.alloc(0);

  constructor(stream: ByteStream) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** @returns exactly that many bytes, or fewer when the stream ends first */
  async take(length: number): Promise<Buffer> {
    if (this.#current.length >= length) return this.#cut(length);
    const parts: Buffer[] = [];
    let missing = length;
    while (missing > 0) {
      const part = await this.some(missing);
      if (part === undefined) break;
      parts.push(part);
      missing -= part.length;
    }
    return Buffer.concat(parts);
  }

  /** @returns between one and `most` bytes, or undefined at the end */
  async some(most: number): Promise<Buffer | undefined> {
    while (this.#current.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return undefined;
      this.#current = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    }
    return this.#cut(Math.min(most, this.#current.length));
  }

  /** Tells the stream that nobody reads on. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  #cut(length: number): Buffer {
    const bytes = this.#current.subarray(0, length);
    this.#current = this.#current.subarray(length);
    return bytes;
  }
}
