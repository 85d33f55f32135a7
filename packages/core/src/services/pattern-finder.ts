export interface Found<P> {
  readonly at: number;
  readonly length: number;
  readonly pattern: P;
}

interface Sought<P> {
  readonly bytes: Uint8Array;
  readonly pattern: P;
}

/**
 * Finds any of many byte strings in one pass (Wu and Manber, "A fast algorithm for multi-pattern searching", 1994, with blocks of two
 * bytes): the more bytes the shortest has, the more are passed over at once.
 */
export class PatternFinder<P extends { readonly bytes: Uint8Array }> {
  /** How far the window may move on when its last block is this one; 0 where a string may end its window so. */
  readonly #shifts: Uint8Array;
  /** By the last block of the window, the longest first. */
  readonly #byBlock = new Map<number, Sought<P>[]>();
  /** By the first byte, the longest first. */
  readonly #byFirst: Sought<P>[][] = [];
  readonly #window: number;
  readonly #longest: number;

  /** @param patterns at least one, each of two bytes or more */
  constructor(patterns: readonly P[]) {
    const sought = patterns
      .map((pattern) => ({ bytes: pattern.bytes, pattern }))
      .sort((one, other) => other.bytes.length - one.bytes.length);
    this.#longest = sought[0]?.bytes.length ?? 0;
    this.#window = Math.min(255, sought.at(-1)?.bytes.length ?? 2);
    this.#shifts = new Uint8Array(65_536).fill(this.#window - 1);
    for (const one of sought) this.#learn(one);
  }

  /** The first from a place on; of several that begin there the longest. */
  next(bytes: Uint8Array, from: number): Found<P> | undefined {
    const shifts = this.#shifts;
    const last = this.#window - 2;
    for (let at = from + last; at + 1 < bytes.length;) {
      const block = blockAt(bytes, at);
      const shift = shifts[block] as number;
      if (shift > 0) {
        at += shift;
        continue;
      }
      const start = at - last;
      const found = this.#byBlock.get(block)?.find(({ bytes: one }) => isAt(bytes, start, one, one.length));
      if (found !== undefined) return { at: start, length: found.bytes.length, pattern: found.pattern };
      at += 1;
    }
    return undefined;
  }

  /** The first place, from one on, where all that is left is the beginning of a string; the end when there is none. */
  beginning(bytes: Uint8Array, from: number): number {
    for (let at = Math.max(from, bytes.length - this.#longest + 1); at < bytes.length; at += 1) {
      if (this.#isBegun(bytes, at)) return at;
    }
    return bytes.length;
  }

  #isBegun(bytes: Uint8Array, at: number): boolean {
    const left = bytes.length - at;
    for (const { bytes: one } of this.#byFirst[bytes[at] as number] ?? []) {
      if (one.length <= left) return false;
      if (isAt(bytes, at, one, left)) return true;
    }
    return false;
  }

  #learn(one: Sought<P>): void {
    const { bytes } = one;
    const last = this.#window - 2;
    for (let index = 0; index <= last; index += 1) {
      const block = blockAt(bytes, index);
      this.#shifts[block] = Math.min(this.#shifts[block] as number, last - index);
    }
    const block = blockAt(bytes, last);
    this.#byBlock.set(block, [...(this.#byBlock.get(block) ?? []), one]);
    (this.#byFirst[bytes[0] as number] ??= []).push(one);
  }
}

function blockAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

function isAt(bytes: Uint8Array, at: number, sought: Uint8Array, length: number): boolean {
  if (at + length > bytes.length) return false;
  for (let index = 0; index < length; index += 1) if (bytes[at + index] !== sought[index]) return false;
  return true;
}
