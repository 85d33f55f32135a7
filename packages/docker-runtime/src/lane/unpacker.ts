import { mostBytes } from './unpack-module.ts';
import { createUnpacking } from './unpack.ts';

/** The blocks of one long output that the supervisor packed, one after the other. */
export class Unpacker {
  readonly #unpacking = createUnpacking();
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
   * @throws RangeError when the block is not one of the bytes that its head announced
   */
  take(chunk: Buffer, onData: (chunk: Buffer) => void): Buffer {
    const part = chunk.subarray(0, this.#packedBytes - this.#there);
    this.#unpacking.packed.set(part, this.#there);
    this.#there += part.length;
    if (this.#there === this.#packedBytes) {
      const plain = this.#unpacking.unpack(this.#packedBytes, this.#bytes);
      this.#packedBytes = 0;
      onData(plain);
    }
    return chunk.subarray(part.length);
  }
}
