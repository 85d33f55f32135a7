import { hash } from 'node:crypto';

/*
 * A pack: 8 bytes of magic, blobs one after the other, the index (48 bytes per blob: SHA-256, offset, length), and a
 * trailer of 48 bytes (number of blobs, offset of the index, SHA-256 over magic, index and those two). Numbers are
 * little-endian 64 bits. Every byte is covered by a digest.
 */
export const packMagic = Buffer.from('OCTPACK\u0001', 'latin1');
const rowLength = 48;
export const trailerLength = 48;

export interface BlobPlace {
  readonly digest: string;
  readonly offset: number;
  readonly length: number;
}

export function encodeIndex(places: readonly BlobPlace[], indexOffset: number): Buffer {
  const out = Buffer.alloc(places.length * rowLength + trailerLength);
  let at = 0;
  for (const { digest, offset, length } of places) {
    out.write(digest, at, 'hex');
    out.writeBigUInt64LE(BigInt(offset), at + 32);
    out.writeBigUInt64LE(BigInt(length), at + 40);
    at += rowLength;
  }
  out.writeBigUInt64LE(BigInt(places.length), at);
  out.writeBigUInt64LE(BigInt(indexOffset), at + 8);
  hash('sha256', Buffer.concat([packMagic, out.subarray(0, at + 16)]), 'buffer').copy(out, at + 16);
  return out;
}

/** Where the index is, read from a pack's trailer; undefined when the trailer does not fit a file of that size. */
export function locateIndex(
  trailer: Buffer,
  fileSize: number,
): { readonly offset: number; readonly length: number } | undefined {
  const count = Number(trailer.readBigUInt64LE(0));
  const offset = Number(trailer.readBigUInt64LE(8));
  const length = count * rowLength;
  return offset >= packMagic.length && offset + length + trailerLength === fileSize ? { offset, length } : undefined;
}

/** @returns undefined when the digest does not match */
export function decodeIndex(magic: Buffer, rows: Buffer, trailer: Buffer): readonly BlobPlace[] | undefined {
  const sum = hash('sha256', Buffer.concat([magic, rows, trailer.subarray(0, 16)]), 'buffer');
  if (!magic.equals(packMagic) || !sum.equals(trailer.subarray(16))) return undefined;
  const hex = rows.toString('hex');
  const places: BlobPlace[] = [];
  for (let at = 0; at < rows.length; at += rowLength) {
    places.push({
      digest: hex.slice(at * 2, at * 2 + 64),
      offset: readSafe(rows, at + 32),
      length: readSafe(rows, at + 40),
    });
  }
  return places;
}

function readSafe(rows: Buffer, at: number): number {
  return rows.readUInt32LE(at) + rows.readUInt32LE(at + 4) * 0x1_0000_0000;
}
