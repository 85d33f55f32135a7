import type { OutputPreview } from './services.ts';

/**
 * Keeps the head and the tail of an output of any size in bounded memory. When the output fits the limit it is shown whole;
 * else half the limit from each end, with one line between them that says how much is left out.
 */
export class PreviewCollector {
  readonly #limit: number;
  #head: Uint8Array[] = [];
  #headBytes = 0;
  #tail: Uint8Array[] = [];
  #tailBytes = 0;
  #totalBytes = 0;

  /** @param limitBytes at least 2 */
  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  add(chunk: Uint8Array): void {
    this.#totalBytes += chunk.length;
    const room = this.#limit - this.#headBytes;
    if (room > 0) {
      const part = chunk.subarray(0, room);
      this.#head.push(Uint8Array.from(part));
      this.#headBytes += part.length;
    }
    if (chunk.length > room) this.#addTail(chunk.subarray(Math.max(0, room)));
  }

  preview(): OutputPreview {
    const head = Buffer.concat(this.#head);
    if (this.#totalBytes <= this.#limit) {
      return { text: head.toString('utf8'), totalBytes: this.#totalBytes, truncated: false };
    }
    const half = Math.floor(this.#limit / 2);
    const rest = Buffer.concat([head, ...this.#tail]);
    const first = trimEnd(head.subarray(0, half));
    const last = trimStart(rest.subarray(Math.max(half, rest.length - half)));
    const left = this.#totalBytes - first.length - last.length;
    return {
      text: `${first.toString('utf8')}\n… ${left} of ${this.#totalBytes} bytes left out …\n${last.toString('utf8')}`,
      totalBytes: this.#totalBytes,
      truncated: true,
    };
  }

  #addTail(chunk: Uint8Array): void {
    const part = chunk.length > this.#limit ? chunk.subarray(chunk.length - this.#limit) : chunk;
    this.#tail.push(Uint8Array.from(part));
    this.#tailBytes += part.length;
    while (this.#tailBytes - (this.#tail[0]?.length ?? 0) >= this.#limit) {
      this.#tailBytes -= this.#tail.shift()?.length ?? 0;
    }
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
