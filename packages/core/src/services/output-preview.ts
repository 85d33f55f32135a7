import type { OutputPreview } from './services.ts';

/**
 * Keeps the head and the tail of an output of any size in at most twice the limit, whatever the size of the chunks. When the
 * output fits the limit it is shown whole; else half the limit from each end, with one line between them that says how much
 * is left out.
 */
export class PreviewCollector {
  readonly #limit: number;
  readonly #half: number;
  #head = Buffer.alloc(0);
  #headBytes = 0;
  /** A ring of the last half limit of what came after the head. */
  #tail = Buffer.alloc(0);
  #tailBytes = 0;

  /** @param limitBytes at least 2 */
  constructor(limitBytes: number) {
    this.#limit = limitBytes;
    this.#half = Math.floor(limitBytes / 2);
  }

  add(chunk: Uint8Array): void {
    const part = chunk.subarray(0, this.#limit - this.#headBytes);
    this.#addHead(part);
    if (part.length < chunk.length) this.#addTail(chunk.subarray(part.length));
  }

  /** Counts bytes that are not shown; at least half the limit must be added after them. */
  skip(bytes: number): void {
    if (this.#tailBytes === 0) this.#tail = Buffer.alloc(this.#half);
    this.#tailBytes += bytes;
  }

  preview(): OutputPreview {
    const totalBytes = this.#headBytes + this.#tailBytes;
    if (this.#tailBytes === 0) {
      return { text: this.#head.toString('utf8', 0, this.#headBytes), totalBytes, truncated: false };
    }
    const first = trimEnd(this.#head.subarray(0, this.#half));
    const last = trimStart(this.#lastHalf());
    const left = totalBytes - first.length - last.length;
    return {
      text: `${first.toString('utf8')}\n… ${left} of ${totalBytes} bytes left out …\n${last.toString('utf8')}`,
      totalBytes,
      truncated: true,
    };
  }

  #addHead(part: Uint8Array): void {
    const needed = this.#headBytes + part.length;
    if (needed > this.#head.length) {
      const grown = Buffer.alloc(Math.min(this.#limit, Math.max(needed, 2 * this.#head.length)));
      grown.set(this.#head.subarray(0, this.#headBytes));
      this.#head = grown;
    }
    this.#head.set(part, this.#headBytes);
    this.#headBytes = needed;
  }

  #addTail(part: Uint8Array): void {
    if (this.#tailBytes === 0) this.#tail = Buffer.alloc(this.#half);
    const kept = part.subarray(Math.max(0, part.length - this.#half));
    const position = (this.#tailBytes + part.length - kept.length) % this.#half;
    const beforeWrap = kept.subarray(0, this.#half - position);
    this.#tail.set(beforeWrap, position);
    this.#tail.set(kept.subarray(beforeWrap.length), 0);
    this.#tailBytes += part.length;
  }

  #lastHalf(): Buffer {
    if (this.#tailBytes < this.#half) {
      const fromHead = this.#head.subarray(this.#headBytes - (this.#half - this.#tailBytes));
      return Buffer.concat([fromHead, this.#tail.subarray(0, this.#tailBytes)]);
    }
    const oldest = this.#tailBytes % this.#half;
    return Buffer.concat([this.#tail.subarray(oldest), this.#tail.subarray(0, oldest)]);
  }
}

/** Drops a multi-byte character that the cut left incomplete at the end. */
function trimEnd(bytes: Buffer): Buffer {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return bytes;
    if (byte >= 0xc0) return back < sequenceLength(byte) ? bytes.subarray(0, bytes.length - back) : bytes;
  }
  return bytes;
}

/** Drops continuation bytes whose character began before the cut. */
function trimStart(bytes: Buffer): Buffer {
  let start = 0;
  while (start < 3 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start += 1;
  return bytes.subarray(start);
}

function sequenceLength(lead: number): number {
  if (lead >= 0xf0) return 4;
  return lead >= 0xe0 ? 3 : 2;
}
