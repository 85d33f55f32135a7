import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { TurnLength } from './turn-length.ts';

interface Costs {
  readonly handOver: number;
  readonly first: number;
  readonly next: number;
}

/** Someone who has seen what things cost for long enough. */
function settled({ handOver, first, next }: Costs): TurnLength {
  const length = new TurnLength();
  for (let count = 0; count < 60; count += 1) {
    length.sawHandOver(handOver);
    length.sawTransaction(first, 'first');
    length.sawTransaction(next, 'next');
  }
  return length;
}

test('the change of turns stays a third of the writing', () => {
  const length = settled({ handOver: 0.5, first: 1.3, next: 0.6 }).after(null);
  expect(length).toBeGreaterThan(5);
  expect(length).toBeLessThan(7);
});

test('a slow disk gives short turns, a dear hand-over long ones', () => {
  expect(settled({ handOver: 0.5, first: 21, next: 20 }).after(null)).toBe(2);
  expect(settled({ handOver: 30, first: 1, next: 0.5 }).after(null)).toBe(32);
});

test('those who measure differently come to write turns of nearly the same length', () => {
  const cost = fc.record({
    handOver: fc.double({ min: 0.1, max: 5, noNaN: true }),
    first: fc.double({ min: 0.3, max: 5, noNaN: true }),
    next: fc.double({ min: 0.3, max: 5, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(cost, { minLength: 2, maxLength: 8 }), (costs) => {
      const writers = costs.map(settled);
      const opinions = writers.map((writer) => writer.after(null));
      let before: number | null = null;
      const last: number[] = [];
      for (let round = 0; round < 40; round += 1) {
        for (const [index, writer] of writers.entries()) last[index] = before = writer.after(before);
      }
      const [least, most] = [Math.min(...opinions), Math.max(...opinions)];
      const spread = Math.max(...last) - Math.min(...last);
      expect(spread).toBeLessThanOrEqual((most - least) * 0.35 + 1e-9);
      for (const length of last) {
        expect(length).toBeGreaterThanOrEqual(least - 1e-9);
        expect(length).toBeLessThanOrEqual(most + 1e-9);
      }
    }),
    { numRuns: 50 },
  );
});

test('one stall changes nothing', () => {
  const length = settled({ handOver: 0.5, first: 1.3, next: 0.6 });
  const before = length.after(null);
  length.sawHandOver(200);
  expect(length.after(null) / before).toBeLessThan(1.2);
});

test('a turn that lasts several times the usual is given up, within limits', () => {
  const length = settled({ handOver: 0.5, first: 4, next: 4 });
  expect(length.stuckAfterMs(4)).toBeGreaterThan(50);
  expect(length.stuckAfterMs(4)).toBeLessThan(80);
  expect(length.stuckAfterMs(1)).toBe(20);
  expect(length.stuckAfterMs(32)).toBe(200);
});
