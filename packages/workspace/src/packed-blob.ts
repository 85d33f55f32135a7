import { crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

/*
 * A blob that is stored in less space: for each mebibyte of it a zstd frame, or the bytes themselves where that is not shorter,
 * or nothing where all of them are 0; then for each of those 8 bytes: the length of what is stored and CRC-32 over it (little-endian 32 bits). Every byte is covered.
 */
export const partBytes = 1024 * 1024;
const rowLength = 8;
const zeros = Buffer.alloc(partBytes);
const nothing = Buffer.alloc(0);

/** How many bytes at the end of a packed blob say where its parts are. */
export function tableLength(length: number): number {
  return Math.ceil(length / partBytes) * rowLength;
}

/** What to store of a blob; parts have a mebibyte each, but for the last. */
export function* packBlob(parts: Iterable<Buffer>): Generator<Buffer> {
  const rows: Buffer[] = [];
  for (const part of parts) {
    const stored = storedOf(part);
    const row = Buffer.alloc(rowLength);
    row.writeUInt32LE(stored.length, 0);
    row.writeUInt32LE(crc32(stored), 4);
    rows.push(row);
    yield stored;
  }
  yield Buffer.concat(rows);
}

function storedOf(part: Buffer): Buffer {
  if (part.equals(zeros.subarray(0, part.length))) return nothing;
  const packed = zstdCompressSync(part, { chunkSize: chunkOf(part.length) });
  return packed.length < part.length ? packed : part;
}

/** Where a part is, from the start of the packed blob. */
export interface Part {
  readonly offset: number;
  readonly stored: number;
  readonly length: number;
  readonly sum: number;
}

/** Reads the table of a packed blob; undefined when it does not fit the lengths. */
export function readTable(table: Buffer, stored: number, length: number): readonly Part[] | undefined {
  const parts: Part[] = [];
  let offset = 0;
  for (let at = 0; at < table.length; at += rowLength) {
    const size = table.readUInt32LE(at);
    const left = length - (at / rowLength) * partBytes;
    parts.push({ offset, stored: size, length: Math.min(partBytes, left), sum: table.readUInt32LE(at + 4) });
    offset += size;
  }
  return offset + table.length === stored ? parts : undefined;
}

/** The bytes of a part; undefined when what is stored is not what was, to the last bit. */
export function unpackPart(stored: Buffer, { length, sum }: Part): Buffer | undefined {
  if (crc32(stored) !== sum) return undefined;
  if (stored.length === length) return stored;
  if (stored.length === 0) return zeros.subarray(0, length);
  try {
    const bytes = zstdDecompressSync(stored, { chunkSize: chunkOf(length), maxOutputLength: partBytes });
    return bytes.length === length ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** What is made fits into one buffer, which is most of what a small part costs. */
function chunkOf(length: number): number {
  return Math.max(1_024, length);
}
