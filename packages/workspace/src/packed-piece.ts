import { hash } from 'node:crypto';
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib';

/*
 * A piece of a manifest that is stored in less space: CRC-32 (little-endian) over what follows, then the text deflated. It is known
 * by the complement of the text's SHA-256, whichever deflate made it: no file can have that for a digest, and equal pieces share.
 */
const headLength = 4;
/** Far more than the 256 longest lines. */
const mostTextBytes = 16 * 1024 * 1024;

/** What a packed piece is known by. */
export function packedKeyOf(digest: string): string {
  const bytes = Buffer.from(digest, 'hex');
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = ~(bytes[at] ?? 0);
  return bytes.toString('hex');
}

export function packPiece(text: Buffer): Buffer {
  const deflated = deflateRawSync(text);
  const head = Buffer.alloc(headLength);
  head.writeUInt32LE(crc32(deflated));
  return Buffer.concat([head, deflated]);
}

/** The text of a packed piece; undefined when the bytes are not what the key says, to the last bit. */
export function unpackPiece(bytes: Buffer, key: string): Buffer | undefined {
  if (bytes.length <= headLength) return undefined;
  const deflated = bytes.subarray(headLength);
  if (crc32(deflated) !== bytes.readUInt32LE(0)) return undefined;
  try {
    const text = inflateRawSync(deflated, { maxOutputLength: mostTextBytes });
    return packedKeyOf(hash('sha256', text, 'hex')) === key ? text : undefined;
  } catch {
    return undefined;
  }
}
