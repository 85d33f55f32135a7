import type { HookContext, HookPort } from '@opencode-tools/core';
import { describe, expect, test } from 'vitest';

/** What a hook of the suite does when it runs. */
export interface ScriptedHook {
  readonly name: string;
  readonly does: 'pass' | 'reject' | 'break';
}

/**
 * Says what every `HookPort` does. Called at the top level of a test file.
 *
 * @param open a port with these hooks at the point of the context, in this order; each tells `ran` when it runs
 */
export function hookPortContract(
  name: string,
  context: HookContext,
  open: (hooks: readonly ScriptedHook[], ran: (hook: string) => void) => HookPort,
): void {
  describe(`${name} as a hook port`, () => {
    test('runs the hooks of a point in order, and tells what each did', async () => {
      const ran: string[] = [];
      const hooks = (['first', 'second'] as const).map((hook) => ({ name: hook, does: 'pass' }) as const);
      const outcomes = await open(hooks, (hook) => ran.push(hook)).run(context);
      expect(ran).toEqual(['first', 'second']);
      const expected = { point: context.point, result: 'passed' };
      expect(outcomes).toMatchObject(ran.map((hook) => ({ hook, ...expected })));
    });

    test.each([
      ['reject', 'rejected'],
      ['break', 'failed'],
    ] as const)('stops at a hook that does %s, says that it %s and throws nothing', async (does, result) => {
      const ran: string[] = [];
      const hooks: readonly ScriptedHook[] = [
        { name: 'before', does: 'pass' },
        { name: 'guard', does },
        { name: 'after', does: 'pass' },
      ];
      const outcomes = await open(hooks, (hook) => ran.push(hook)).run(context);
      expect(ran).toEqual(['before', 'guard']);
      expect(outcomes.at(-1)).toMatchObject({ hook: 'guard', result });
      expect(outcomes.at(-1)?.message).not.toBe('');
    });

    test('says whether anything listens, and nothing runs where nothing does', async () => {
      const { point } = context;
      expect(open([{ name: 'one', does: 'pass' }], () => undefined).listens(point)).toBe(true);
      const empty = open([], () => undefined);
      expect(empty.listens(point)).toBe(false);
      expect(await empty.run(context)).toEqual([]);
    });
  });
}
