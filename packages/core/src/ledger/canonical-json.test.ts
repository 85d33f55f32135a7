import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { JsonValue } from '../domain/json.ts';
import { canonicalJson } from './canonical-json.ts';

/** Appendix B of RFC 8785: the bits of an IEEE 754 double, and how it is written. */
const rfcNumbers = [
  ['0000000000000000', '0'],
  ['8000000000000000', '0'],
  ['0000000000000001', '5e-324'],
  ['8000000000000001', '-5e-324'],
  ['7fefffffffffffff', '1.7976931348623157e+308'],
  ['ffefffffffffffff', '-1.7976931348623157e+308'],
  ['4340000000000000', '9007199254740992'],
  ['c340000000000000', '-9007199254740992'],
  ['4430000000000000', '295147905179352830000'],
  ['44b52d02c7e14af5', '9.999999999999997e+22'],
  ['44b52d02c7e14af6', '1e+23'],
  ['44b52d02c7e14af7', '1.0000000000000001e+23'],
  ['444b1ae4d6e2ef4e', '999999999999999700000'],
  ['444b1ae4d6e2ef4f', '999999999999999900000'],
  ['444b1ae4d6e2ef50', '1e+21'],
  ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
  ['3eb0c6f7a0b5ed8d', '0.000001'],
  ['41b3de4355555553', '333333333.3333332'],
  ['41b3de4355555554', '333333333.33333325'],
  ['41b3de4355555555', '333333333.3333333'],
  ['41b3de4355555556', '333333333.3333334'],
  ['41b3de4355555557', '333333333.33333343'],
  ['becbf647612f3696', '-0.0000033333333333333333'],
  ['43143ff3c1cb0959', '1424953923781206.2'],
] as const;

const json = fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<JsonValue>;

describe('canonicalJson', () => {
  test.each(rfcNumbers)('writes the double %s as %s', (bits, text) => {
    expect(canonicalJson(Buffer.from(bits, 'hex').readDoubleBE(0))).toBe(text);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('refuses the number %s', (value) => {
    expect(() => canonicalJson({ deep: [value] })).toThrow(expect.objectContaining({ code: 'OCT_INVALID_ARGUMENT' }));
  });

  test('writes the example of RFC 8785 section 3.2.2', () => {
    const source = String.raw`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`;
    expect(canonicalJson(JSON.parse(source) as JsonValue)).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    );
  });

  test('orders keys by UTF-16 code units, as the example of RFC 8785 section 3.2.3 does', () => {
    const keys = ['\u20ac', '\r', '\ufb33', '1', '\u{1f600}', '\u0080', '\u00f6'];
    const object = Object.fromEntries(keys.map((key) => [key, 0]));
    const ordered = ['\r', '1', '\u0080', '\u00f6', '\u20ac', '\u{1f600}', '\ufb33'];
    expect(canonicalJson(object)).toBe(`{${ordered.map((key) => `${JSON.stringify(key)}:0`).join(',')}}`);
  });

  test('puts an emoji before a private-use character, though its code point is larger', () => {
    expect(canonicalJson({ '\ue000': 1, '\u{1f600}': 2, '10': 3, '9': 4 })).toBe(
      '{"10":3,"9":4,"\u{1f600}":2,"\ue000":1}',
    );
  });

  test('escapes control characters in the short form where there is one, and nothing above them', () => {
    expect(canonicalJson('\b\t\n\f\r\u0000\u001f"\\/\u007f\u2028é')).toBe(
      '"\\b\\t\\n\\f\\r\\u0000\\u001f\\"\\\\/\u007f\u2028é"',
    );
  });

  test('leaves undefined members out and keeps a member named __proto__', () => {
    expect(canonicalJson({ b: undefined, a: null })).toBe('{"a":null}');
    expect(canonicalJson(JSON.parse('{"__proto__":{"z":1},"a":2}') as JsonValue)).toBe('{"__proto__":{"z":1},"a":2}');
  });

  test.each(['\ud83d', 'a\ude00', '\ude00\ud83d'])(
    'refuses the lone surrogate in %j, in values and in keys',
    (text) => {
      const refusal = expect.objectContaining({ code: 'OCT_INVALID_ARGUMENT' });
      expect(() => canonicalJson([text])).toThrow(refusal);
      expect(() => canonicalJson({ [text]: 1 })).toThrow(refusal);
    },
  );

  test('parses back to the same value', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(withoutMinusZero(value));
      }),
    );
  });

  test('is the same text for every order of keys, and for its own parse', () => {
    fc.assert(
      fc.property(json, fc.infiniteStream(fc.nat()), (value, choices) => {
        const text = canonicalJson(value);
        expect(canonicalJson(shuffled(value, choices))).toBe(text);
        expect(canonicalJson(JSON.parse(text) as JsonValue)).toBe(text);
      }),
    );
  });

  test('holds no white space outside of strings', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(canonicalJson(value).replaceAll(/"(?:[^"\\]|\\.)*"/gs, '""')).not.toMatch(/\s/);
      }),
    );
  });
});

function withoutMinusZero(value: JsonValue): JsonValue {
  return JSON.parse(JSON.stringify(value)) as JsonValue;
}

function shuffled(value: JsonValue, choices: Iterator<number>): JsonValue {
  if (Array.isArray(value)) return value.map((item) => shuffled(item as JsonValue, choices));
  if (value === null || typeof value !== 'object') return value;
  const rest = Object.entries(value as Readonly<Record<string, JsonValue>>);
  const members: [string, JsonValue][] = [];
  while (rest.length > 0) {
    const [member] = rest.splice((choices.next().value as number) % rest.length, 1);
    if (member !== undefined) members.push([member[0], shuffled(member[1], choices)]);
  }
  return Object.fromEntries(members);
}
