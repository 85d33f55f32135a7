import { randomFillSync } from 'node:crypto';
import { type Id, type IdKind, formatId } from '../domain/ids.ts';
import type { Clock } from './clock.ts';

/** Makes ids. */
export interface Ids {
  next<K extends IdKind>(kind: K): Id<K>;
  /** A fresh random text of 32 hexadecimal digits, for correlation ids and nonces. */
  random(): string;
}

/** Ids from UUIDs of version 7 (RFC 9562): 48 bits of milliseconds, then random bits. */
export function createIds(clock: Clock): Ids {
  const random = new RandomBytes();
  return {
    next: (kind) => formatId(kind, uuidV7(clock.nowMs(), random.next())),
    random: () => Buffer.from(random.next()).toString('hex'),
  };
}

function uuidV7(ms: number, bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(0, Math.floor(ms / 0x1_0000));
  view.setUint16(4, ms % 0x1_0000);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return bytes;
}

const bytesAtOnce = 16;

/** Random bytes, asked of the system for many ids at once: asking costs more than all else about an id. */
class RandomBytes {
  readonly #pool = new Uint8Array(256 * bytesAtOnce);
  #used = this.#pool.length;

  /** @returns 16 bytes that are the caller's own, and given to nobody else */
  next(): Uint8Array {
    if (this.#used === this.#pool.length) {
      randomFillSync(this.#pool);
      this.#used = 0;
    }
    return this.#pool.slice(this.#used, (this.#used += bytesAtOnce));
  }
}
