import { mostBytes, packedAt, plainAt, unpackModule } from './unpack-module.ts';

/** Where a block is unpacked. */
export interface Unpacking {
  /** The block is put down here, however it comes. */
  readonly packed: Buffer;
  /**
   * Makes of the block what `lane/pack.h` made it from.
   *
   * @param packedBytes what the block has, at most 65,536
   * @param bytes what it was made from, at most 65,536
   * @returns memory that is used for the next as well
   * @throws RangeError when the block is not one of so many bytes
   */
  unpack(packedBytes: number, bytes: number): Buffer;
}

/** What we use of WebAssembly, which Node has and its types have not. */
interface Assembly {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object) => {
    readonly exports: {
      readonly memory: { readonly buffer: ArrayBuffer };
      readonly run: (packedBytes: number, bytes: number) => number;
    };
  };
}

let compiled: object | undefined;

/** Each has a memory of its own: a block may come in parts, and others between them. */
export function createUnpacking(): Unpacking {
  const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: Assembly };
  compiled ??= new WebAssembly.Module(unpackModule());
  const { memory, run } = new WebAssembly.Instance(compiled).exports;
  const plain = Buffer.from(memory.buffer, plainAt, mostBytes);
  return {
    packed: Buffer.from(memory.buffer, packedAt, mostBytes),
    unpack(packedBytes, bytes) {
      if (run(packedBytes, bytes) !== 1) throw new RangeError('A packed block of an output is not whole');
      return plain.subarray(0, bytes);
    },
  };
}
