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

/** One place after another, as slowly as can be. */
function replacedIn(text: string, values: readonly string[]): string {
  let out = '';
  for (let at = 0; at < text.length;) {
    const found = values
      .filter((value) => text.startsWith(value, at))
      .sort((one, other) => other.length - one.length)[0];
    out += found === undefined ? text.charAt(at) : `[redacted:K${values.indexOf(found)}]`;
    at += found?.length ?? 1;
  }
  return out;
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

  const token = 'token_11ABCDEFG0aBcDeFgHiJkL_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX';
  test.each([
    ['base64', 76, '\n', (text: string) => Buffer.from(text).toString('base64')],
    ['base64 of a mail', 64, '\r\n', (text: string) => Buffer.from(text).toString('base64')],
    ['hexadecimal', 60, '\n', (text: string) => Buffer.from(text).toString('hex')],
  ])('is found in %s that is broken every %i characters by %j', (_name, width, end, encode) => {
    for (const before of ['', 'x'.repeat(10), 'x'.repeat(41)])
      for (const size of [1, 7, 1_000]) {
        const lines = encode(`${before}${token} after`).match(new RegExp(`.{1,${width}}`, 'g')) ?? [];
        const text = lines.join(end);
        const left = encode(before).slice(0, -3) + encode(' after').slice(-4);
        const seen = redact(`first${end}${text}${end}last`, size, token);
        expect(seen).toContain('[redacted:KEY]');
        expect(seen.replaceAll('[redacted:KEY]', '').length).toBeLessThan(left.length + 24);
        const { mask } = createRedaction({ KEY: token })!;
        expect(Buffer.from(mask(Buffer.from(text)).bytes).toString()).toContain('*'.repeat(100));
      }
  });

  test('keeps no line back for what its end could begin, nor waits through empty lines', () => {
    const redactor = createRedaction({ KEY: token })!.redactor();
    const begun = Buffer.from(token).toString('base64').slice(0, 40);
    const take = (text: string): string => Buffer.from(redactor.take(Buffer.from(text))).toString();
    expect(take('ready dG9\n')).toBe('ready dG9\n');
    expect(take(`${begun}\n`)).toBe('');
    expect(take('\n')).toBe(`${begun}\n\n`);
  });

  test.each([
    ['bash', `'`, `'\\''`],
    ['dash', `'`, `'"'"'`],
  ])('is found as %s quotes it', (_name, quote, quoted) => {
    const value = `pa$$${quote}wo"rd\\x`;
    expect(redact(`+ echo '${value.replaceAll(quote, () => quoted)}'`, 3, value)).toBe(`+ echo '[redacted:KEY]'`);
    expect(redact('declare -x KEY="pa\\$\\$\'wo\\"rd\\\\x"', 3, value)).toBe('declare -x KEY="[redacted:KEY]"');
  });

  test('is found line by line', () => {
    const key = '-----BEGIN KEY-----\nMIIabcdefghijklmnop\nqrstuvwxyz0123456789\n-----END KEY-----';
    expect(redact('x qrstuvwxyz0123456789 y', 4, key)).toBe('x [redacted:KEY] y');
  });

  test.each(['\n', '\r\n', '\r'])(
    'is found by any line of eight bytes, without what it is indented by: ended by %j',
    (end) => {
      const value = ['first-one', '  line-two-secret  ', '{', '\tshort7_', 'fourthly!'].join(end);
      expect(redact('a line-two-secret b\nfirst-one\n{ short7_ }\n fourthly!', 3, value)).toBe(
        'a [redacted:KEY] b\n[redacted:KEY]\n{ short7_ }\n [redacted:KEY]',
      );
      expect(redact(`x${value}y`, 5, value)).toBe('x[redacted:KEY]y');
      expect(redact(Buffer.from('line-two-secret').toString('base64'), 5, value)).not.toContain('line');
      const { mask } = createRedaction({ KEY: value })!;
      expect(Buffer.from(mask(Buffer.from('a line-two-secret b')).bytes).toString()).toBe(`a ${'*'.repeat(15)} b`);
    },
  );

  test('is replaced first by first, and of several that begin at one place by the longest, whatever there is beside it', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'A'), minLength: 6, maxLength: 9 });
    fc.assert(
      fc.property(
        fc.uniqueArray(letters, { minLength: 1, maxLength: 4 }),
        fc.string({ unit: fc.constantFrom('a', 'b', 'A', ' '), maxLength: 60 }),
        fc.integer({ min: 1, max: 20 }),
        (values, text, size) => {
          const redactor = createRedaction(
            Object.fromEntries(values.map((value, index) => [`K${index}`, value])),
          )!.redactor();
          const out: Uint8Array[] = [];
          for (let at = 0; at < text.length; at += size)
            out.push(redactor.take(Buffer.from(text.slice(at, at + size))));
          expect(Buffer.concat([...out, redactor.end()]).toString()).toBe(replacedIn(text, values));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('is whole where a shorter one begins it, or is in it, and the text is cut there', () => {
    const redactor = createRedaction({ SHORT: 'abcdef', LONG: 'abcdefghijkl', OUTER: 'xx abcdef yy' })!.redactor();
    const out = ['- abcdef', 'ghijkl - xx abcdef', ' yy - xx abcdef', ' - abcdef'].map((chunk) =>
      Buffer.from(redactor.take(Buffer.from(chunk))).toString(),
    );
    expect([...out, Buffer.from(redactor.end()).toString()].join('')).toBe(
      '- [redacted:LONG] - [redacted:OUTER] - xx [redacted:SHORT] - [redacted:SHORT]',
    );
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
