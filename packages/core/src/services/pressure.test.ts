import { describe, expect, test } from 'vitest';
import type { PressureLevel } from '../domain/sandbox.ts';
import { PressureGauge, defaultThresholds, worstOf } from './pressure.ts';

const memory = (used: number) => ({ resource: 'memory', used, limit: 100 }) as const;
const reading = (used: number) =>
  worstOf([memory(used)], defaultThresholds) ?? { ...memory(0), level: 'normal' as const };

describe('how near a sandbox is to its limits', () => {
  test.each<[number, PressureLevel]>([
    [0, 'normal'],
    [69.9, 'normal'],
    [70, 'warning'],
    [84.9, 'warning'],
    [85, 'critical'],
    [95, 'emergency'],
    [100, 'emergency'],
  ])('is at %d percent: %s', (used, level) => {
    expect(reading(used).level).toBe(level);
  });

  test('is said of the limit that is nearest', () => {
    const uses = [memory(40), { resource: 'processes', used: 90, limit: 100 } as const];
    expect(worstOf(uses, defaultThresholds)).toMatchObject({ resource: 'processes', level: 'critical' });
    expect(worstOf([], defaultThresholds)).toBeUndefined();
    expect(worstOf([{ resource: 'workspace', used: 5, limit: 0 }], defaultThresholds)).toMatchObject({
      level: 'normal',
    });
  });
});

describe('a gauge', () => {
  const seen = (acted: PressureLevel, ...uses: number[]) => {
    const gauge = new PressureGauge();
    return uses.map((used) => gauge.see(reading(used), acted, defaultThresholds));
  };

  test('asks to act when a level was seen twice in a row, and not for a peak', () => {
    expect(seen('normal', 72, 73)).toEqual([undefined, 'warning']);
    expect(seen('normal', 96, 10, 96, 10)).toEqual([undefined, undefined, undefined, undefined]);
    expect(seen('warning', 96, 97)).toEqual([undefined, 'emergency']);
  });

  test('asks once for a level, and for less only when use is clearly below', () => {
    expect(seen('warning', 75, 76)).toEqual([undefined, undefined]);
    expect(seen('warning', 68, 68, 64)).toEqual([undefined, undefined, 'normal']);
    expect(seen('emergency', 92, 92, 88)).toEqual([undefined, undefined, 'critical']);
  });
});
