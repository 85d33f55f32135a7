import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson } from '../ledger/canonical-json.ts';
import { printable } from './printable.ts';

const esc = '\u001b';

describe('printable', () => {
  test.each([
    ['colours', `${esc}[31;1mred${esc}[0m`, 'red'],
    ['colours with colons', `${esc}[38:2::255:0:0mred${esc}[m`, 'red'],
    ['cursor moves and private modes', `a${esc}[2J${esc}[?25l${esc}[10;20Hb`, 'ab'],
    ['sequences with intermediate bytes', `a${esc}[1 qb`, 'ab'],
    ['8-bit control sequences', 'a\u009b31mb', 'ab'],
    ['window titles', `a${esc}]0;evil title\u0007b`, 'ab'],
    ['hyperlinks', `${esc}]8;;http://evil.example${esc}\\here${esc}]8;;${esc}\\`, 'here'],
    ['8-bit command strings', 'a\u009d0;evil\u009cb', 'ab'],
    ['device control strings', `a${esc}P+q544e${esc}\\b`, 'ab'],
  ])('removes %s whole', (_what, text, clean) => {
    expect(printable(text)).toBe(clean);
  });

  test('removes control characters, C1 among them, and keeps line feeds and tabs', () => {
    expect(printable('a\u0000b\u0007\bc\r\n\td\u007f\u0080\u0085\u009ee\u00a0')).toBe('abc\n\tde\u00a0');
  });

  test('removes the escape character of a sequence that never ends', () => {
    expect(printable(`a${esc}]0;b`)).toBe('a]0;b');
    expect(printable(`a${esc}[31`)).toBe('a[31');
  });

  test('keeps 2,000 characters whole and cuts one more with a mark', () => {
    expect(printable('x'.repeat(2_000))).toBe('x'.repeat(2_000));
    expect(printable(`${'x'.repeat(2_000)}yz`)).toBe(`${'x'.repeat(2_000)}… (2 more)`);
  });

  test('counts only what is shown against the limit', () => {
    expect(printable(`${esc}[31m${'x'.repeat(2_000)}${esc}[0m`)).toBe('x'.repeat(2_000));
  });

  test('cuts no emoji in half', () => {
    expect(printable(`${'x'.repeat(1_999)}😀y`)).toBe(`${'x'.repeat(1_999)}… (3 more)`);
    expect(printable(`${'x'.repeat(1_998)}😀y`)).toBe(`${'x'.repeat(1_998)}😀… (1 more)`);
  });

  test('gives text that can be recorded, without control characters, for any input', () => {
    const unit = fc.oneof(
      fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)),
      fc.constantFrom(esc, '[', ']', '\u009b', '\u0007', '\\', 'm', '\ud83d', '😀'),
    );
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 60 }), fc.constantFrom(0, 1_990), (text, padding) => {
        const clean = printable(`${'x'.repeat(padding)}${text}`);
        expect(clean).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
        expect(JSON.parse(canonicalJson(clean))).toBe(clean);
        expect(clean.length).toBeLessThanOrEqual(2_020);
      }),
    );
  });
});
