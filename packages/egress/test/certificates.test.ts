import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { createAuthority, createLeaf } from '../src/gateway/certificates.ts';
import { integer, objectId, octets, time } from '../src/gateway/der.ts';

const now = Date.now();
const authority = createAuthority('opencode-tools test', now);
const root = new X509Certificate(authority.certificate);

test('an authority signs itself and is valid for ten years', () => {
  expect(root.ca).toBe(true);
  expect(root.checkIssued(root)).toBe(true);
  expect(root.verify(root.publicKey)).toBe(true);
  expect(root.subject).toBe('CN=opencode-tools test');
  expect(Date.parse(root.validFrom)).toBeLessThan(now);
  expect(Date.parse(root.validTo) - now).toBeGreaterThan(9.9 * 365 * 86_400_000);
});

describe.each(['registry.example.org', `${'long-label.'.repeat(8)}example.org`, '10.1.2.3'])(
  'the leaf of %s',
  (host) => {
    const leaf = createLeaf(host, authority, now);
    const parsed = new X509Certificate(leaf.certificate);

    test('is signed by the authority, for that host alone', () => {
      expect(parsed.ca).toBe(false);
      expect(parsed.checkIssued(root)).toBe(true);
      expect(parsed.verify(root.publicKey)).toBe(true);
      expect(parsed.verify(parsed.publicKey)).toBe(false);
      const check = (name: string) => (/^[\d.]+$/.test(name) ? parsed.checkIP(name) : parsed.checkHost(name));
      expect(check(host)).toBe(host);
      for (const other of ['example.org', `x.${host}`, '10.1.2.4']) expect(check(other)).toBeUndefined();
      expect(parsed.serialNumber).not.toBe(
        new X509Certificate(createLeaf(host, authority, now).certificate).serialNumber,
      );
      expect(Date.parse(parsed.validTo) - now).toBeLessThan(31 * 86_400_000);
    });

    test('serves a client that trusts the authority, and no other', async () => {
      const server = createServer({ cert: leaf.certificate, key: leaf.key }, (socket) => socket.end('hello'));
      server.on('tlsClientError', () => undefined);
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const named = /^[\d.]+$/.test(host) ? {} : { servername: host };
      const trusting = connect({
        port,
        host: '127.0.0.1',
        ca: authority.certificate,
        checkServerIdentity: () => undefined,
        ...named,
      });
      const [text] = (await once(trusting, 'data')) as [Buffer];
      expect(text.toString()).toBe('hello');
      trusting.destroy();
      const stranger = createAuthority('opencode-tools test', now).certificate;
      const refusing = connect({
        port,
        host: '127.0.0.1',
        ca: stranger,
        checkServerIdentity: () => undefined,
        ...named,
      });
      const [error] = (await once(refusing, 'error')) as [NodeJS.ErrnoException];
      expect(error.code).toMatch(/SIGNATURE|ISSUER|VERIFY|SELF_SIGNED/);
      server.close();
    });
  },
);

test('the members of a certificate are written as X.690 wants them', () => {
  expect(integer(Buffer.from([0x80])).toString('hex')).toBe('02020080');
  expect(integer(Buffer.from([0x7f])).toString('hex')).toBe('02017f');
  expect(objectId('1.2.840.113549').toString('hex')).toBe('06062a864886f70d');
  expect(octets(Buffer.alloc(127)).subarray(0, 2).toString('hex')).toBe('047f');
  expect(octets(Buffer.alloc(128)).subarray(0, 3).toString('hex')).toBe('048180');
  expect(octets(Buffer.alloc(65_536)).subarray(0, 5).toString('hex')).toBe('0483010000');
  expect(time(new Date('2049-12-31T23:59:59Z')).toString('latin1').slice(2)).toBe('491231235959Z');
  expect(time(new Date('2050-01-01T00:00:00Z')).toString('latin1').slice(2)).toBe('20500101000000Z');
});
