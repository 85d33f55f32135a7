/** Most of what a read of a stream gives fits several times. */
const blockBytes = 256 * 1024;
/** Outputs that stay below this have no block: most have none of that size. */
const withoutBlocks = 64 * 1024;

interface Block {
  readonly buffer: Buffer;
  bytes: number;
}

/**
 * What waits to be written of an output, copied: whoever gives a chunk uses its memory again. What waits of a long output is in few
 * buffers that are used again as well: buffers that lived until they are written would outlive a collection or two, and collecting what
 * became old costs more than copying.
 */
export class OutputBlocks {
  #chunks: Uint8Array[] = [];
  #totalBytes = 0;
  #filling: Block[] = [];
  #writing: Block[] = [];
  #free: Block[] = [];
  #long = false;
  #waitingBytes = 0;

  /** True of an output of which more comes than is worth a write of its own each time. */
  get isLong(): boolean {
    return this.#long;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0 && this.#filling.length === 0;
  }

  add(chunk: Uint8Array): void {
    this.#totalBytes += chunk.byteLength;
    this.#waitingBytes += chunk.byteLength;
    this.#long ||= this.#totalBytes > withoutBlocks;
    if (!this.#long) this.#chunks.push(Buffer.from(chunk));
    else for (let rest = chunk; rest.byteLength > 0;) rest = this.#copy(rest);
  }

  /** Gives all that waits, in order; it stays as it is until the next call. */
  take(): readonly Uint8Array[] {
    for (const block of this.#writing) block.bytes = 0;
    this.#free.push(...this.#writing);
    const taken = [...this.#chunks, ...this.#filling.map(({ buffer, bytes }) => buffer.subarray(0, bytes))];
    this.#writing = this.#filling;
    this.#filling = [];
    this.#chunks = [];
    this.#waitingBytes = 0;
    return taken;
  }

  drop(): void {
    this.#chunks = [];
    this.#filling = [];
    this.#writing = [];
    this.#free = [];
    this.#waitingBytes = 0;
  }

  /** @returns what did not fit into the block that fills */
  #copy(chunk: Uint8Array): Uint8Array {
    let block = this.#filling.at(-1);
    if (block === undefined || block.bytes === blockBytes) {
      block = this.#free.pop() ?? { buffer: Buffer.allocUnsafeSlow(blockBytes), bytes: 0 };
      this.#filling.push(block);
    }
    const part = chunk.subarray(0, blockBytes - block.bytes);
    block.buffer.set(part, block.bytes);
    block.bytes += part.byteLength;
    return chunk.subarray(part.byteLength);
  }
}
