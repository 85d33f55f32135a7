import { silentLogger, systemClock } from '@opencode-tools/core';
import { hookPortContract } from '@opencode-tools/testkit';
import { expect, test } from 'vitest';
import { type Hook, HookRejection, createHooks } from '../src/index.ts';
import { context } from './fixtures.ts';

const starting = context({ point: 'task:starting' });

function hook(name: string, run: Hook['run'], more: Partial<Hook> = {}): Hook {
  return { name, points: ['task:starting'], run, ...more };
}

function registry(hooks: readonly Hook[], timeoutMs?: number) {
  return createHooks({
    hooks,
    clock: systemClock,
    logger: silentLogger,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
}

const passes = (name: string, order?: number) => hook(name, () => `${name} done`, order === undefined ? {} : { order });
const forever: Hook['run'] = (_context, { signal }) =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));

test('hooks of a point run by order, equal ones as registered', async () => {
  const hooks = registry([passes('late', 5), passes('one'), passes('two'), passes('early', -1)]);
  const outcomes = await hooks.run(starting);
  expect(outcomes.map(({ hook }) => hook)).toEqual(['early', 'one', 'two', 'late']);
  expect(outcomes[0]).toMatchObject({ point: 'task:starting', result: 'passed', message: 'early done' });
  expect(outcomes.every(({ durationMs }) => durationMs >= 0)).toBe(true);
});

test('the registry says at which points it listens, and runs nothing elsewhere', async () => {
  const hooks = registry([passes('one')]);
  expect(hooks.listens('task:starting')).toBe(true);
  expect(hooks.listens('task:deleting')).toBe(false);
  expect(await hooks.run(context({ point: 'task:deleting' }))).toEqual([]);
});

test('a rejection stops the run and carries its remedy', async () => {
  const veto = hook('veto', () => {
    throw new HookRejection('Not on\na Friday.', 'Try on Monday.');
  });
  const outcomes = await registry([passes('one'), veto, passes('never')]).run(starting);
  expect(outcomes.map(({ hook, result }) => [hook, result])).toEqual([
    ['one', 'passed'],
    ['veto', 'rejected'],
  ]);
  expect(outcomes[1]?.message).toBe('Not on a Friday. Remedy: Try on Monday.');
});

test('a hook that breaks, or outlasts its limit, refuses the change', async () => {
  const broken = hook('broken', () => Promise.reject(new Error('no such \u001b[31mfile')));
  expect(await registry([broken]).run(starting)).toMatchObject([{ result: 'failed', message: 'no such file' }]);
  const slow = hook('slow', forever, { timeoutMs: 5 });
  expect(await registry([slow, passes('never')]).run(starting)).toMatchObject([
    { result: 'failed', message: 'outlasted its time limit of 5 ms' },
  ]);
  expect(await registry([hook('slow', forever)], 5).run(starting)).toMatchObject([{ result: 'failed' }]);
});

test('an advisory hook never refuses, and what it said is kept', async () => {
  const veto = hook('veto', () => Promise.reject(new HookRejection('Too big.', 'Split it.')), { advisory: true });
  const slow = hook('slow', forever, { advisory: true, timeoutMs: 5 });
  expect(await registry([veto, slow, passes('last')]).run(starting)).toMatchObject([
    { result: 'passed', message: 'advisory only, rejected: Too big. Remedy: Split it.' },
    { result: 'passed', message: 'advisory only, failed: outlasted its time limit of 5 ms' },
    { hook: 'last', result: 'passed' },
  ]);
});

test('a message is one line of at most 500 characters', async () => {
  const [outcome] = await registry([hook('loud', () => 'a\n'.repeat(1_000))]).run(starting);
  expect(outcome?.message).toHaveLength(500);
  expect(outcome?.message).not.toContain('\n');
});

test.each([
  ['a bad name', [passes('No Name')]],
  ['a repeated name', [passes('one'), passes('one')]],
  ['an unknown point', [hook('one', () => '', { points: ['task:exploding' as 'task:starting'] })]],
  ['no point', [hook('one', () => '', { points: [] })]],
  ['a time limit of zero', [hook('one', () => '', { timeoutMs: 0 })]],
])('a registry with %s is refused', (_what, hooks) => {
  expect(() => registry(hooks)).toThrow(expect.objectContaining({ code: 'OCT_INVALID_CONFIG' }));
});

hookPortContract('the registry of hooks', starting, (scripted, ran) =>
  registry(
    scripted.map(({ name, does }) =>
      hook(name, () => {
        ran(name);
        if (does === 'reject') throw new HookRejection('Not now.', 'Later.');
        if (does === 'break') throw new Error('broken');
        return 'done';
      }),
    ),
  ),
);
