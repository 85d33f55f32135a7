import { unpack } from './unpack.ts';

/** `PACKED_AT_ONCE` of `lane/output.h`. */
const mostBytes = 65_536;

/** The blocks of one long output that the supervisor packed, one after the other. */
export class Unpacker {
  readonly #packed = Buffer.allocUnsafeSlow(mostBytes);
  readonly #plain = Buffer.allocUnsafeSlow(mostBytes);
  #bytes = 0;
  #packedBytes = 0;
  #there = 0;

  /** True between a head and the last of the bytes that it announced. */
  get isOpen(): boolean {
    return this.#packedBytes > 0;
  }

  /** @param head how many bytes the block gives, and how many it has: `65536 4711` */
  begin(head: string): void {
    const [bytes = 0, packedBytes = 0] = /^\d{1,5} \d{1,5}$/.test(head) ? head.split(' ').map(Number) : [];
    if (bytes === 0 || bytes > mostBytes || packedBytes === 0 || packedBytes > bytes) {
      throw new RangeError('A packed block of an output begins with impossible sizes');
    }
    this.#bytes = bytes;
    this.#packedBytes = packedBytes;
    this.#there = 0;
  }

  /**
   * Takes what belongs to the block from the bytes.
   *
   * @param onData gets what a block that is whole was made from; stays as it is until that returns
   * @returns what comes after the block
   */
  take(chunk: Buffer, onData: (chunk: Buffer) => void): Buffer {
    const missing = this.#packedBytes - this.#there;
    const part = chunk.subarray(0, missing);
    const isWholeHere = part.length === this.#packedBytes;
    if (!isWholeHere) this.#packed.set(part, this.#there);
    this.#there += part.length;
    if (part.length === missing) {
      const plain = this.#plain.subarray(0, this.#bytes);
      unpack(isWholeHere ? part : this.#packed.subarray(0, this.#packedBytes), plain);
      this.#packedBytes = 0;
      onData(plain);
    }
    return chunk.subarray(part.length);
  }
}
