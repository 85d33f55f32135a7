import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Checkpoint } from '../domain/checkpoint.ts';
import { type RetentionPolicy, planRetention } from './retention.ts';

const nowMs = Date.parse('2026-11-29T12:00:00.000Z');
const none: RetentionPolicy = { maxPerTask: 0, keepDays: 0, thinAfterDays: 0, budgetBytes: 0, homeBudgetBytes: 0 };
const at = (name: string, hoursAgo: number): Checkpoint =>
  ({ id: name, createdAt: new Date(nowMs - hoursAgo * 3_600_000).toISOString() }) as unknown as Checkpoint;
const id = (name: string): Checkpoint['id'] => name as Checkpoint['id'];
/** Which go, oldest first, and why. */
function going(
  policy: Partial<RetentionPolicy>,
  checkpoints: readonly Checkpoint[],
  more: { readonly kept?: readonly string[]; readonly added?: Readonly<Record<string, number>> } = {},
): readonly string[] {
  const addedBytes = new Map(Object.entries(more.added ?? {}).map(([name, bytes]) => [id(name), bytes]));
  const kept = new Set((more.kept ?? []).map(id));
  const facts = { checkpoints, kept, nowMs, ...(more.added === undefined ? {} : { addedBytes }) };
  return planRetention({ ...none, ...policy }, facts).map(({ checkpoint, rule }) => `${checkpoint.id} ${rule}`);
}

const week = [at('a', 1), at('b', 30), at('c', 31), at('d', 80), at('e', 200)];

describe('checkpoints of a task', () => {
  test('all stay without a policy', () => {
    expect(going({}, week)).toEqual([]);
  });

  test('go by age, but for the kept ones', () => {
    expect(going({ keepDays: 3 }, week, { kept: ['e'] })).toEqual(['d age']);
  });

  test('are thinned out to the newest of each day', () => {
    expect(going({ thinAfterDays: 1 }, week)).toEqual(['c thinning']);
  });

  test('go by number, the oldest first, the kept ones counted', () => {
    expect(going({ maxPerTask: 3 }, week, { kept: ['e'] })).toEqual(['d number', 'c number']);
    expect(going({ maxPerTask: 1 }, week, { kept: ['d', 'e'] })).toEqual(['c number', 'b number', 'a number']);
  });

  test('go by the budget, which the kept ones use up first', () => {
    const added = { e: 50, a: 30, b: 30, c: 30, d: 0 };
    expect(going({ budgetBytes: 100 }, week, { kept: ['e'], added })).toEqual(['d budget', 'c budget', 'b budget']);
    expect(going({ budgetBytes: 10 }, week, { kept: ['e'], added })).toHaveLength(4);
  });

  test('never lose a kept one, and what is left breaks no rule', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ hours: fc.integer({ min: 0, max: 2_000 }), kept: fc.boolean() }), { maxLength: 30 }),
        fc.record({ maxPerTask: fc.nat(10), keepDays: fc.nat(20), thinAfterDays: fc.nat(20) }),
        (made, rules) => {
          const sorted = made.toSorted((one, other) => one.hours - other.hours);
          const checkpoints = sorted.map(({ hours }, index) => at(String(index), hours));
          const kept = sorted.flatMap((one, index) => (one.kept ? [String(index)] : []));
          const gone = new Set(going(rules, checkpoints, { kept }).map((line) => line.split(' ')[0]));
          const left = checkpoints.filter((checkpoint) => !gone.has(checkpoint.id));
          const free = left.filter((checkpoint) => !kept.includes(checkpoint.id));
          expect(kept.filter((name) => gone.has(name))).toEqual([]);
          if (rules.maxPerTask > 0) expect(left.length).toBeLessThanOrEqual(Math.max(rules.maxPerTask, kept.length));
          const ages = free.map(({ createdAt }) => (nowMs - Date.parse(createdAt)) / 86_400_000);
          if (rules.keepDays > 0) expect(Math.max(0, ...ages)).toBeLessThanOrEqual(rules.keepDays);
          const again = { ...rules, maxPerTask: 0 };
          expect(going(again, left, { kept })).toEqual([]);
        },
      ),
    );
  });
});
