import { hash } from 'node:crypto';

const words = 8;
const wordValues = 2 ** 32;

/** Sums the SHA-256 digests of texts modulo 2^256: the same for the same texts in any order, each as often. */
export class DigestSum {
  /** 32 bits each, the lowest first. */
  readonly #sum = new Uint32Array(words);

  add(text: string): void {
    const digest = hash('sha256', text, 'buffer');
    let carry = 0;
    for (let word = 0; word < words; word += 1) {
      const value = (this.#sum[word] ?? 0) + digest.readUInt32BE((words - 1 - word) * 4) + carry;
      carry = value >= wordValues ? 1 : 0;
      this.#sum[word] = value;
    }
  }

  text(): string {
    return [...this.#sum]
      .toReversed()
      .map((word) => word.toString(16).padStart(8, '0'))
      .join('');
  }
}
