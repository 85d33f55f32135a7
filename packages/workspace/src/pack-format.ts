import { hash } from 'node:crypto';

/*
 * A pack: 8 bytes of magic, blobs one after the other, the index (48 bytes per blob: SHA-256, offset, length), and a
 * trailer of 48 bytes (number of blobs, offset of the index, SHA-256 over magic, index and those two). Numbers are
 * little-endian 64 bits. Every byte is covered by a digest. The second form of pack holds packed blobs, too: its rows end with
 * the length of what is stored, 0 for a blob that is stored as it is.
 */
const packForms = ['plain', 'packed'] as const;
export type PackForm = (typeof packForms)[number];
const magics: Readonly<Record<PackForm, Buffer>> = {
  plain: Buffer.from('OCTPACK\u0001', 'latin1'),
  packed: Buffer.from('OCTPACK\u0002', 'latin1'),
};
const rowLengths: Readonly<Record<PackForm, number>> = { plain: 48, packed: 56 };
export const magicLength = 8;
export const trailerLength = 48;

export interface BlobPlace {
  readonly digest: string;
  readonly offset: number;
  /** Of the blob itself. */
  readonly length: number;
  /** Bytes in the pack. */
  readonly stored: number;
  readonly packed: boolean;
}

export function magicOf(form: PackForm): Buffer {
  return magics[form];
}

export function encodeIndex(places: readonly BlobPlace[], indexOffset: number, form: PackForm): Buffer {
  const rowLength = rowLengths[form];
  const out = Buffer.alloc(places.length * rowLength + trailerLength);
  let at = 0;
  for (const { digest, offset, length, stored, packed } of places) {
    out.write(digest, at, 'hex');
    writeSafe(out, offset, at + 32);
    writeSafe(out, length, at + 40);
    if (form === 'packed') writeSafe(out, packed ? stored : 0, at + 48);
    at += rowLength;
  }
  out.writeBigUInt64LE(BigInt(places.length), at);
  out.writeBigUInt64LE(BigInt(indexOffset), at + 8);
  hash('sha256', Buffer.concat([magics[form], out.subarray(0, at + 16)]), 'buffer').copy(out, at + 16);
  return out;
}

/** Where the index is, read from a pack's ends; undefined when they do not fit a file of that size. */
export function locateIndex(
  magic: Buffer,
  trailer: Buffer,
  fileSize: number,
): { readonly offset: number; readonly length: number } | undefined {
  const form = packForms.find((one) => magics[one].equals(magic));
  if (form === undefined) return undefined;
  const count = Number(trailer.readBigUInt64LE(0));
  const offset = Number(trailer.readBigUInt64LE(8));
  const length = count * rowLengths[form];
  return offset >= magicLength && offset + length + trailerLength === fileSize ? { offset, length } : undefined;
}

/** @returns undefined when the digest does not match */
export function decodeIndex(magic: Buffer, rows: Buffer, trailer: Buffer): PackRows | undefined {
  const sum = hash('sha256', Buffer.concat([magic, rows, trailer.subarray(0, 16)]), 'buffer');
  const form = packForms.find((one) => magics[one].equals(magic));
  return form === undefined || !sum.equals(trailer.subarray(16)) ? undefined : new PackRows(rows, form);
}

/** The index of a pack as it is stored: there may be a hundred thousand rows, of which few are asked for. */
export class PackRows {
  readonly form: PackForm;
  readonly count: number;
  readonly #rows: Buffer;
  readonly #rowLength: number;

  constructor(rows: Buffer, form: PackForm) {
    this.form = form;
    this.#rows = rows;
    this.#rowLength = rowLengths[form];
    this.count = rows.length / this.#rowLength;
  }

  /** One of the eight words of the digest of a blob. */
  wordAt(row: number, word: number): number {
    return this.#rows.readUInt32BE(row * this.#rowLength + word * 4);
  }

  placeAt(row: number): BlobPlace {
    const at = row * this.#rowLength;
    const length = readSafe(this.#rows, at + 40);
    const packed = this.form === 'packed' ? readSafe(this.#rows, at + 48) : 0;
    return {
      digest: this.#rows.toString('hex', at, at + 32),
      offset: readSafe(this.#rows, at + 32),
      length,
      stored: packed === 0 ? length : packed,
      packed: packed !== 0,
    };
  }

  places(): readonly BlobPlace[] {
    return Array.from({ length: this.count }, (_, row) => this.placeAt(row));
  }
}

function writeSafe(rows: Buffer, value: number, at: number): void {
  rows.writeUInt32LE(value % 0x1_0000_0000, at);
  rows.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
}

function readSafe(rows: Buffer, at: number): number {
  return rows.readUInt32LE(at) + rows.readUInt32LE(at + 4) * 0x1_0000_0000;
}
