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
  return {
    next: (kind) => formatId(kind, uuidV7(clock.nowMs())),
    random: () => Buffer.from(randomFillSync(new Uint8Array(16))).toString('hex'),
  };
}

function uuidV7(ms: number): Uint8Array {
  const bytes = randomFillSync(new Uint8Array(16));
  new DataView(bytes.buffer).setUint32(0, Math.floor(ms / 0x1_0000));
  new DataView(bytes.buffer).setUint16(4, ms % 0x1_0000);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return bytes;
}
