import { X509Certificate, createHash } from 'node:crypto';

const magic = 0xfeed_feed;
const version = 2;
const trustedCertificate = 2;
/** What Java checks such a store with when it is given; it needs none to read certificates. */
const usualPassword = 'changeit';
const salt = 'Mighty Aphrodite';

/**
 * Makes a store of certificates as Java reads them (JKS), which finds none in PEM. The same certificates make the same bytes.
 *
 * @param certificates PEM, one each
 */
export function javaStore(certificates: readonly string[]): Buffer {
  const entries = certificates.flatMap((certificate, at) => {
    const { raw } = new X509Certificate(certificate);
    // The time at which it was added, eight bytes, is that of no clock.
    return [
      number(trustedCertificate),
      text(`authority-${at}`),
      Buffer.alloc(8),
      text('X.509'),
      number(raw.length),
      raw,
    ];
  });
  const body = Buffer.concat([number(magic), number(version), number(certificates.length), ...entries]);
  const password = Buffer.from(usualPassword, 'utf16le').swap16();
  return Buffer.concat([body, createHash('sha1').update(password).update(salt).update(body).digest()]);
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  const size = Buffer.alloc(2);
  size.writeUInt16BE(bytes.length);
  return Buffer.concat([size, bytes]);
}
