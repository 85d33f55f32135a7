import type { PackRows } from './pack-format.ts';

const words = 8;
const leastSlots = 1024;

/** A blob of one of the packs. */
interface BlobRow<Pack> {
  readonly pack: Pack;
  readonly row: number;
}

/**
 * Finds blobs in the indices of packs by their digests: an open hash table of row numbers, for an object per blob would cost more than
 * reading the index.
 */
export class BlobTable<Pack extends { readonly rows: PackRows }> {
  readonly #packs: Pack[] = [];
  readonly #wanted = new Uint32Array(words);
  #slots = new Int32Array(leastSlots);
  #packOf = new Int32Array(leastSlots / 2);
  #rowOf = new Int32Array(leastSlots / 2);
  #count = 0;

  find(digest: string): BlobRow<Pack> | undefined {
    return this.#count > 0 && this.#parse(digest) ? this.#found() : undefined;
  }

  /** As `find`, for the 32 bytes of a digest as they lie at a place: thousands are looked up without a text of each. */
  findIn(bytes: Buffer, at: number): BlobRow<Pack> | undefined {
    for (let word = 0; word < words; word += 1) this.#wanted[word] = bytes.readUInt32BE(at + word * 4);
    return this.#found();
  }

  /** The blob whose digest is wanted. */
  #found(): BlobRow<Pack> | undefined {
    const entry = (this.#slots[this.#slotOf(this.#wanted[0] ?? 0)] ?? 0) - 1;
    const pack = entry < 0 ? undefined : this.#packs[this.#packOf[entry] ?? 0];
    return pack === undefined ? undefined : { pack, row: this.#rowOf[entry] ?? 0 };
  }

  /** Adds the blobs of a pack; one that another pack has stays where it is, unless that gives way. */
  add(pack: Pack, givesWay: (other: Pack) => boolean): void {
    const { rows } = pack;
    this.#grow(this.#count + rows.count);
    const number = this.#packs.push(pack) - 1;
    for (let row = 0; row < rows.count; row += 1) {
      for (let word = 0; word < words; word += 1) this.#wanted[word] = rows.wordAt(row, word);
      const slot = this.#slotOf(this.#wanted[0] ?? 0);
      const known = (this.#slots[slot] ?? 0) - 1;
      const other = known < 0 ? undefined : this.#packs[this.#packOf[known] ?? 0];
      if (other !== undefined && !givesWay(other)) continue;
      const entry = known < 0 ? this.#count : known;
      if (known < 0) this.#count += 1;
      this.#slots[slot] = entry + 1;
      this.#packOf[entry] = number;
      this.#rowOf[entry] = row;
    }
  }

  /** The slot of the blob whose digest is wanted, or where it would be. */
  #slotOf(first: number): number {
    const mask = this.#slots.length - 1;
    let slot = first & mask;
    for (;;) {
      const entry = (this.#slots[slot] ?? 0) - 1;
      if (entry < 0 || this.#isWanted(entry)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #isWanted(entry: number): boolean {
    const rows = this.#packs[this.#packOf[entry] ?? 0]?.rows;
    const row = this.#rowOf[entry] ?? 0;
    for (let word = 0; word < words; word += 1) if (rows?.wordAt(row, word) !== this.#wanted[word]) return false;
    return true;
  }

  #grow(count: number): void {
    if (count * 2 <= this.#slots.length) return;
    const length = 2 ** Math.ceil(Math.log2(count * 2));
    const [packs, rows] = [new Int32Array(length / 2), new Int32Array(length / 2)];
    packs.set(this.#packOf.subarray(0, this.#count));
    rows.set(this.#rowOf.subarray(0, this.#count));
    [this.#slots, this.#packOf, this.#rowOf] = [new Int32Array(length), packs, rows];
    const mask = length - 1;
    for (let entry = 0; entry < this.#count; entry += 1) {
      let slot = (this.#packs[packs[entry] ?? 0]?.rows.wordAt(rows[entry] ?? 0, 0) ?? 0) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = entry + 1;
    }
  }

  #parse(digest: string): boolean {
    if (digest.length !== words * 8) return false;
    for (let word = 0; word < words; word += 1) {
      let value = 0;
      for (let at = word * 8; at < word * 8 + 8; at += 1) {
        const code = digest.charCodeAt(at);
        const digit = code < 58 ? code - 48 : code - 87;
        if (digit < 0 || digit > 15 || (code > 57 && code < 97)) return false;
        value = value * 16 + digit;
      }
      this.#wanted[word] = value;
    }
    return true;
  }
}
