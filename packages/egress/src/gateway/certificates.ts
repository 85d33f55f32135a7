import { type KeyObject, createHash, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { bits, der, derTags, integer, objectId, octets, sequence, set, tagged, time } from './der.ts';

/** A certificate and its key, both PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

const oids = {
  commonName: '2.5.4.3',
  ecdsaSha256: '1.2.840.10045.4.3.2',
  subjectKeyId: '2.5.29.14',
  authorityKeyId: '2.5.29.35',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  subjectAltName: '2.5.29.17',
  serverAuth: '1.3.6.1.5.5.7.3.1',
} as const;

const dayMs = 86_400_000;
const authorityDays = 3_650;
const leafDays = 30;

/** Makes a certificate authority (ECDSA on P-256) that can sign for hosts and for no further authority. */
export function createAuthority(commonName: string, nowMs: number): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const subject = nameOf(commonName);
  const certificate = issue({
    subject,
    issuer: subject,
    publicKey,
    signer: privateKey,
    fromMs: nowMs - dayMs,
    toMs: nowMs + authorityDays * dayMs,
    extensions: [
      extension(oids.basicConstraints, true, sequence(truth, integer(Buffer.from([0])))),
      extension(oids.keyUsage, true, bits(Buffer.from([0b0000_0110]), 1)),
      extension(oids.subjectKeyId, false, octets(keyId(publicKey))),
    ],
  });
  return { certificate, key: pemOf(privateKey) };
}

/** Makes the certificate of one host, signed by an authority that `createAuthority` made. */
export function createLeaf(host: string, authority: Certificate, nowMs: number): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const alternative = isIPv4(host)
    ? der(0x87, Buffer.from(host.split('.').map(Number)))
    : der(0x82, Buffer.from(host, 'latin1'));
  const certificate = issue({
    subject: nameOf(host.slice(0, 64)),
    issuer: subjectOf(authority.certificate),
    publicKey,
    signer: authority.key,
    fromMs: nowMs - dayMs,
    toMs: nowMs + leafDays * dayMs,
    extensions: [
      extension(oids.basicConstraints, true, sequence()),
      extension(oids.keyUsage, true, bits(Buffer.from([0b1000_0000]), 7)),
      extension(oids.extendedKeyUsage, false, sequence(objectId(oids.serverAuth))),
      extension(oids.subjectAltName, false, sequence(alternative)),
      extension(oids.authorityKeyId, false, sequence(der(0x80, keyId(createPublicKey(authority.key))))),
    ],
  });
  return { certificate, key: pemOf(privateKey) };
}

interface Issue {
  readonly subject: Buffer;
  readonly issuer: Buffer;
  readonly publicKey: KeyObject;
  readonly signer: KeyObject | string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly extensions: readonly Buffer[];
}

/** Certificate of RFC 5280, version 3. */
function issue({ subject, issuer, publicKey, signer, fromMs, toMs, extensions }: Issue): string {
  const algorithm = sequence(objectId(oids.ecdsaSha256));
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const body = sequence(
    tagged(0, integer(Buffer.from([2]))),
    integer(serial),
    algorithm,
    issuer,
    sequence(time(new Date(fromMs)), time(new Date(toMs))),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(3, sequence(...extensions)),
  );
  const signature = sign('sha256', body, signer);
  const whole = sequence(body, algorithm, bits(signature)).toString('base64');
  return `-----BEGIN CERTIFICATE-----\n${(whole.match(/.{1,64}/g) ?? []).join('\n')}\n-----END CERTIFICATE-----\n`;
}

const truth = der(derTags.boolean, Buffer.from([0xff]));

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(objectId(id), ...(critical ? [truth] : []), octets(value));
}

function nameOf(commonName: string): Buffer {
  return sequence(set(sequence(objectId(oids.commonName), der(derTags.utf8, Buffer.from(commonName)))));
}

function keyId(key: KeyObject): Buffer {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest()
    .subarray(0, 20);
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string;
}

/** The subject's bytes of a certificate, as its leaves have to repeat them: the sixth member of its body. */
function subjectOf(certificate: string): Buffer {
  const whole = Buffer.from(certificate.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  const outer = contentAt(whole, 0);
  let at = contentAt(whole, outer.from).from;
  for (let member = 0; member < 5; member += 1) at = contentAt(whole, at).to;
  return whole.subarray(at, contentAt(whole, at).to);
}

function contentAt(bytes: Buffer, at: number): { readonly from: number; readonly to: number } {
  const first = bytes[at + 1] ?? 0;
  const size = first < 0x80 ? 0 : first & 0x7f;
  const length = size === 0 ? first : bytes.readUIntBE(at + 2, size);
  const from = at + 2 + size;
  return { from, to: from + length };
}
