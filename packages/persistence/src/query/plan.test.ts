import { describe, expect, test } from 'vitest';
import { type Plan, type Runner, type Statement, Unanswered, driveLater, driveNow, later, together } from './plan.ts';

const statement: Statement = { compile: () => ({ sql: 'select 1', parameters: [], name: null }) };
const failing = { run: () => refuse(), scan: () => refuse(), load: () => refuse() } as const;
const failingLater = { run: async () => refuse(), scan: async () => refuse(), load: async () => refuse() } as const;

function refuse(): never {
  throw new Error('the disk is full');
}

/** A plan that holds something, and asks for more when it lets go of it. */
function holding(step: () => Plan<unknown>) {
  const held = { open: false };
  function* plan(): Plan<void> {
    held.open = true;
    try {
      yield* step();
    } finally {
      held.open = false;
      yield statement;
    }
  }
  return { plan, held };
}

const steps: readonly (readonly [string, () => Plan<unknown>])[] = [
  ['a statement', () => together([statement])],
  ['one that is not waited for', () => later(statement, () => undefined)],
];

describe('a plan of which a statement fails', () => {
  test.each(steps)('lets go of what it holds: %s, answered at once', (_what, step) => {
    const { plan, held } = holding(step);
    expect(() => driveNow(plan(), failing as Runner<never>)).toThrow('the disk is full');
    expect(held.open).toBe(false);
  });

  test.each(steps)('lets go of what it holds: %s, answered later', async (_what, step) => {
    const { plan, held } = holding(step);
    const unanswered = new Unanswered();
    const driven = driveLater(plan(), failingLater as unknown as Runner<Promise<never>>, unanswered);
    await expect(driven.then(async () => unanswered.settle())).rejects.toThrow('the disk is full');
    expect(held.open).toBe(false);
  });
});
