import { X509Certificate, createHash } from 'node:crypto';

/** `2.5.4.3`, as an element of DER. */
const commonName = Buffer.from([0x06, 0x03, 0x55, 0x04, 0x03]);
const longestName = 100;

/**
 * The number by which OpenSSL finds an authority in a directory of certificates (`X509_NAME_hash`): the first four bytes of the SHA-1 of
 * its subject in canonical form, the lowest first.
 *
 * @returns undefined for a subject that is not a plain common name
 */
export function subjectHash(pem: string): string | undefined {
  const [, name] = /^CN=([\x20-\x7e]+)$/.exec(new X509Certificate(pem).subject) ?? [];
  if (name === undefined || name.length > longestName) return undefined;
  const canonical = name.trim().toLowerCase().replaceAll(/\s+/g, ' ');
  const attribute = element(0x30, Buffer.concat([commonName, element(0x0c, Buffer.from(canonical))]));
  const digest = createHash('sha1').update(element(0x31, attribute)).digest();
  return digest.readUInt32LE(0).toString(16).padStart(8, '0');
}

/** Of less than 128 bytes. */
function element(tag: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([tag, content.length]), content]);
}
