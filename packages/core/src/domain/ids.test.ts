import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type IdKind, formatId, idPrefixes, isId, isShortId, parseId, shortId } from './ids.ts';

const kinds = Object.keys(idPrefixes) as IdKind[];
const kind = fc.constantFrom(...kinds);
const uuid = fc.uint8Array({ minLength: 16, maxLength: 16 });
const refusal = expect.objectContaining({ code: 'OCT_INVALID_ARGUMENT' });

test('the prefixes are the known ones', () => {
  expect(idPrefixes).toEqual({
    home: 'hom',
    task: 'tsk',
    session: 'ses',
    lease: 'lse',
    execution: 'exe',
    checkpoint: 'chk',
    decision: 'dec',
    todo: 'tdo',
    note: 'nte',
    message: 'msg',
    operation: 'opn',
    claim: 'clm',
  });
});

describe('formatId', () => {
  test.each([
    ['00000000000000000000000000000000', 'tsk_00000000000000000000000000'],
    ['ffffffffffffffffffffffffffffffff', 'tsk_7zzzzzzzzzzzzzzzzzzzzzzzzz'],
    ['017f22e279b07cc398c4dc0c0c07398f', 'tsk_01fwhe4ydgfk1shh6w1g60eecf'],
  ])('writes the UUID %s as %s', (hex, id) => {
    expect(formatId('task', Buffer.from(hex, 'hex'))).toBe(id);
  });

  test('makes ids that are accepted for their kind and for no other', () => {
    fc.assert(
      fc.property(kind, uuid, (of, bytes) => {
        const id = formatId(of, bytes);
        expect(parseId(of, id)).toBe(id);
        expect(kinds.filter((other) => isId(other, id))).toEqual([of]);
      }),
    );
  });

  test('keeps the order of the bytes and tells different bytes apart', () => {
    fc.assert(
      fc.property(uuid, uuid, (a, b) => {
        const [first, second] = [formatId('task', a), formatId('task', b)];
        expect(Math.sign(first < second ? -1 : Number(first > second))).toBe(Buffer.compare(a, b));
      }),
    );
  });
});

describe('parseId', () => {
  const good = 'tsk_01fwhe4ydgfk1shh6w1g60eecf';

  test.each([
    ['nothing', ''],
    ['a path that climbs', '../../../etc/passwd'],
    ['a path behind a prefix', 'tsk_../../../../../etc/passwd0'],
    ['a path behind an id', `${good}/../x`],
    ['upper case', good.toUpperCase()],
    ['one upper-case letter', good.replace('f', 'F')],
    ['a letter that reads as a digit', good.replace('f', 'l')],
    ['a character too few', good.slice(0, -1)],
    ['a character too many', `${good}0`],
    ['another prefix', good.replace('tsk', 'ses')],
    ['no prefix', good.slice(4)],
    ['a null byte at the end', `${good}\0`],
    ['a null byte inside', good.replace('f', '\0')],
    ['a line feed at the end', `${good}\n`],
    ['a line feed before', `\n${good}`],
    ['blanks around', ` ${good} `],
    ['a look-alike of another script', good.replace('e', 'е')],
    ['a SQL wildcard', good.replace('f', '%')],
  ])('refuses %s', (_what, text) => {
    expect(isId('task', text)).toBe(false);
    expect(() => parseId('task', text)).toThrow(refusal);
  });

  test('refuses every text that is not a prefix and 26 characters of the alphabet', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
        fc.pre(!/^[0-9a-hjkmnp-tv-z]{26}$/.test(text));
        expect(() => parseId('task', `tsk_${text}`)).toThrow(refusal);
      }),
    );
  });

  test('names the argument and shows a short, printable part of what was given', () => {
    expect(() => parseId('checkpoint', `\u001b[31m${'x'.repeat(500)}`)).toThrow(
      expect.objectContaining({
        message: `Not a checkpoint id: "\\u001b[31m${'x'.repeat(75)}"`,
        remedy: 'A checkpoint id is chk_ followed by 26 characters of 0-9 and a-z.',
        details: { argument: 'checkpointId' },
      }),
    );
  });
});

describe('short ids', () => {
  test('are the last eight characters of an id and are recognised as such', () => {
    fc.assert(
      fc.property(kind, uuid, (of, bytes) => {
        const id = formatId(of, bytes);
        expect(id.endsWith(shortId(id))).toBe(true);
        expect(isShortId(shortId(id))).toBe(true);
      }),
    );
    expect(shortId('tsk_01fwhe4ydgfk1shh6w1g60eecf')).toBe('1g60eecf');
  });

  test.each(['', '1g60eec', '1g60eecf0', '1G60EECF', '1g60eecl', '../../ab', '1g60eec\0', '1g60eecf\n'])(
    'are not mistaken for %j',
    (text) => {
      expect(isShortId(text)).toBe(false);
    },
  );
});
