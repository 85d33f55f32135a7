import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRedaction } from './redactor.ts';

const secret = 'pa55-w0rd/with+odd&chars é"\\';

function redact(text: string | Buffer, size: number, value = secret): string {
  const redactor = createRedaction({ KEY: value })?.redactor();
  if (redactor === undefined) return text.toString();
  const bytes = Buffer.from(text);
  const out: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) out.push(redactor.take(bytes.subarray(at, at + size)));
  return Buffer.concat([...out, redactor.end()]).toString();
}

describe('a secret in an output', () => {
  test.each([1, 2, 3, 7, 1_000])('is replaced in chunks of %i bytes', (size) => {
    expect(redact(`a ${secret} b ${secret}${secret} c`, size)).toBe(
      'a [redacted:KEY] b [redacted:KEY][redacted:KEY] c',
    );
  });

  test.each([
    ['base64', (text: string) => Buffer.from(text).toString('base64')],
    ['base64url', (text: string) => Buffer.from(text).toString('base64url')],
    ['hexadecimal', (text: string) => Buffer.from(text).toString('hex')],
    ['JSON', (text: string) => JSON.stringify(text)],
    ['a URL', (text: string) => encodeURIComponent(text)],
    ['a form', (text: string) => new URLSearchParams({ q: text }).toString().replaceAll('%20', '+')],
  ])('is found in %s, wherever it begins', (_name, encode) => {
    for (const before of ['', 'x', 'xy', 'xyz']) {
      const seen = redact(encode(`${before}secret-value-0123456789after`), 5, 'secret-value-0123456789');
      expect(seen).toContain('[redacted:KEY]');
      const raw = Buffer.from(seen.replaceAll(/\[redacted:KEY\]/g, ''), 'base64').toString('latin1');
      expect(raw).not.toContain('value-01234');
    }
  });

  test('is found line by line', () => {
    const key = '-----BEGIN KEY-----\nMIIabcdefghijklmnop\nqrstuvwxyz0123456789\n-----END KEY-----';
    expect(redact('x qrstuvwxyz0123456789 y', 4, key)).toBe('x [redacted:KEY] y');
  });

  test('of less than six bytes is left alone', () => {
    expect(createRedaction({ KEY: 'on' })).toBeUndefined();
  });

  test('is stars of the same length where places have to be kept, whatever pieces come when', () => {
    const text = fc.array(fc.oneof(fc.constant(secret), fc.constant(secret.slice(0, 9)), fc.string()), {
      maxLength: 8,
    });
    fc.assert(
      fc.property(text, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (parts, sizes) => {
        const whole = Buffer.from(parts.join(''));
        const { mask } = createRedaction({ KEY: secret })!;
        const kept: Uint8Array[] = [];
        let [from, to] = [0, 0];
        for (let round = 0; to < whole.length; round += 1) {
          to = Math.min(whole.length, to + (sizes[round % sizes.length] ?? 1));
          const { bytes, certain } = mask(whole.subarray(from, to));
          kept.push(bytes.subarray(0, certain));
          from += certain;
        }
        kept.push(mask(whole.subarray(from)).bytes);
        const stars = '*'.repeat(Buffer.byteLength(secret));
        expect(Buffer.concat(kept).toString()).toBe(whole.toString().replaceAll(secret, stars));
      }),
    );
  });

  test('never shows, and nothing else changes, however the text is cut', () => {
    const text = fc.array(fc.oneof(fc.constant(secret), fc.constant(secret.slice(0, 9)), fc.string()), {
      maxLength: 8,
    });
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 40 }), (parts, size) => {
        const whole = parts.join('');
        expect(redact(whole, size)).toBe(whole.toWellFormed().replaceAll(secret, '[redacted:KEY]'));
      }),
    );
  });
});
