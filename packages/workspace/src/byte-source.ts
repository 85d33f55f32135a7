import type { ByteStream } from '@opencode-tools/core';

const lineFeed = 0x0a;

/** Bytes of one thing in a stream. */
export interface Content {
  /** The next piece; undefined at the end. */
  next(): Promise<Buffer | undefined>;
  /** The whole rest. */
  rest(): Promise<Buffer>;
}

/** Takes exact numbers of bytes from a stream of chunks of any size. */
export class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #current: Buffer = Buffer.alloc(0);
  /** Where in it the next byte is. */
  #at = 0;

  constructor(stream: ByteStream) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** @returns exactly that many bytes, or fewer when the stream ends first */
  async take(length: number): Promise<Buffer> {
    if (this.#current.length - this.#at >= length) return this.#cut(length);
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

  /** As `take` without waiting: undefined, and nothing is taken, where not all of it is at hand. */
  takeAtHand(length: number): Buffer | undefined {
    return this.#current.length - this.#at >= length ? this.#cut(length) : undefined;
  }

  /** As `line` without waiting: undefined, and nothing is taken, where not all of it is at hand. */
  lineAtHand(): string | undefined {
    const end = this.#current.indexOf(lineFeed, this.#at);
    if (end === -1) return undefined;
    const text = this.#current.toString('latin1', this.#at, end);
    this.#at = end + 1;
    return text;
  }

  /** @returns between one and `most` bytes, or undefined at the end */
  async some(most: number): Promise<Buffer | undefined> {
    if (!(await this.#fill())) return undefined;
    return this.#cut(Math.min(most, this.#current.length - this.#at));
  }

  /** @returns the bytes before the next line feed as Latin-1, which is taken as well; undefined when the stream ends before it */
  async line(): Promise<string | undefined> {
    let text = '';
    while (await this.#fill()) {
      const end = this.#current.indexOf(lineFeed, this.#at);
      text += this.#current.toString('latin1', this.#at, end === -1 ? this.#current.length : end);
      this.#at = end === -1 ? this.#current.length : end + 1;
      if (end !== -1) return text;
    }
    return undefined;
  }

  /** Content of a known length as it comes. @param cut makes the error for a stream that ends before it */
  content(size: number, cut: () => Error): Content {
    let left = size;
    const next = async (): Promise<Buffer | undefined> => {
      if (left === 0) return undefined;
      const bytes = await this.some(left);
      if (bytes === undefined) throw cut();
      left -= bytes.length;
      return bytes;
    };
    const rest = async (): Promise<Buffer> => {
      const bytes = await this.take(left);
      if (bytes.length < left) throw cut();
      left = 0;
      return bytes;
    };
    return { next, rest };
  }

  /** Tells the stream that nobody reads on. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  /** Waits until there is a byte. @returns false at the end */
  async #fill(): Promise<boolean> {
    while (this.#at === this.#current.length) {
      const next = await this.#chunks.next();
      if (next.done === true) return false;
      this.#current = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
      this.#at = 0;
    }
    return true;
  }

  #cut(length: number): Buffer {
    const bytes = this.#current.subarray(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }
}
