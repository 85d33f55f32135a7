import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isId } from '../domain/ids.ts';
import { toTimestamp } from './clock.ts';
import { createIds } from './ids.ts';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

function uuidOf(id: string): string {
  let value = 0n;
  for (const character of id.slice(4)) value = value * 32n + BigInt(alphabet.indexOf(character));
  return value.toString(16).padStart(32, '0');
}

const time = fc.integer({ min: 0, max: 2 ** 48 - 1 });

describe('createIds', () => {
  test('makes UUIDs of version 7: 48 bits of milliseconds, version, variant', () => {
    fc.assert(
      fc.property(time, (ms) => {
        const id = createIds({ nowMs: () => ms }).next('task');
        const uuid = uuidOf(id);
        expect(isId('task', id)).toBe(true);
        expect(uuid).toHaveLength(32);
        expect(Number.parseInt(uuid.slice(0, 12), 16)).toBe(ms);
        expect(uuid[12]).toBe('7');
        expect(uuid[16]).toMatch(/[89ab]/);
      }),
    );
  });

  test('makes ids that sort by the clock', () => {
    fc.assert(
      fc.property(time, time, (a, b) => {
        fc.pre(a < b);
        let ms = b;
        const ids = createIds({ nowMs: () => ms });
        const later = ids.next('operation');
        ms = a;
        expect(ids.next('operation') < later).toBe(true);
      }),
    );
  });

  test('makes different ids within one millisecond, in full and in short', () => {
    const ids = createIds({ nowMs: () => 1_800_000_000_000 });
    const made = Array.from({ length: 2_000 }, () => ids.next('note'));
    expect(new Set(made).size).toBe(2_000);
    expect(new Set(made.map((id) => id.slice(-8))).size).toBe(2_000);
  });

  test('makes random texts of 32 hexadecimal digits', () => {
    const ids = createIds({ nowMs: () => 0 });
    const made = Array.from({ length: 100 }, () => ids.random());
    expect(made.every((text) => /^[0-9a-f]{32}$/.test(text))).toBe(true);
    expect(new Set(made).size).toBe(100);
  });
});

test('timestamps are ISO 8601 in UTC with milliseconds and sort as text', () => {
  expect(toTimestamp(1_795_162_530_123)).toBe('2026-11-20T08:15:30.123Z');
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 253_402_300_799_999 }),
      fc.integer({ min: 0, max: 253_402_300_799_999 }),
      (a, b) => {
        expect(toTimestamp(a) < toTimestamp(b)).toBe(a < b);
      },
    ),
  );
});
