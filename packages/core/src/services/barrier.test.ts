import { describe, expect, test } from 'vitest';
import { LeaseDesk, leaseWith } from '../../test/leases.ts';
import { taskId } from '../../test/records.ts';
import { call, proof } from '../../test/task.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Fence } from '../ports/sandbox-runtime.ts';
import { currentFence, passBarrier, withRaisedTokens } from './barrier.ts';

const pending = leaseWith({ state: 'pending' });

function deskWith(change: Partial<LeaseDesk> = {}): LeaseDesk {
  return Object.assign(new LeaseDesk(), { active: [pending] }, change);
}

describe('the takeover barrier', () => {
  test('fences the sandbox, then makes the lease usable, and says how many it ended', async () => {
    const desk = deskWith();
    expect(await passBarrier(desk.kernel, pending, call)).toBe(2);
    expect(desk.asked).toEqual([
      ['fence', { minToken: proof.token, revoked: [] }],
      ['confirm', proof],
    ]);
  });

  test('has nothing to do for a lease that has passed it', async () => {
    const desk = deskWith();
    expect(await passBarrier(desk.kernel, leaseWith(), call)).toBe(0);
    expect(desk.asked).toEqual([]);
  });

  test.each([
    ['no sandbox', { sandbox: undefined }],
    ['a sandbox that was never made', { sandbox: { ref: null } }],
    ['a container that is gone', { sandbox: { ref: 'other' } }],
    ['a stopped one', { state: 'stopped' }],
    ['a failed one', { state: 'failed' }],
    ['one that is being made', { state: 'creating' }],
  ] as const)('makes the lease usable at once with %s', async (_what, change) => {
    const desk = deskWith(change);
    expect(await passBarrier(desk.kernel, pending, call)).toBe(0);
    expect(desk.asked).toEqual([['confirm', proof]]);
  });

  test('wakes a paused sandbox, and only once no checkpoint of it is under way', async () => {
    const desk = deskWith({ state: 'paused' });
    let looks = 0;
    const underWay = { id: 'opn_1', kind: 'checkpoint', taskId, state: 'open', proof: null, owner: {} };
    Object.assign(desk.kernel.deps, { processes: { isAlive: () => true } });
    Object.assign(desk.kernel.deps.tasks, {
      listOpenOperations: async () => {
        looks += 1;
        desk.asked.push(['look']);
        return looks < 3 ? [underWay] : [{ ...underWay, kind: 'execution' }];
      },
    });
    await passBarrier(desk.kernel, pending, call);
    expect(desk.asked.map(([name]) => name)).toEqual(['look', 'look', 'look', 'unpause', 'fence', 'confirm']);
  });

  test('a fence that another session raised meanwhile is raised again from the leases as they are then', async () => {
    const desk = deskWith({ active: [leaseWith({ token: 2 }), pending] });
    const { handle } = desk;
    const raise = handle?.fence?.bind(handle);
    Object.assign(handle ?? {}, {
      fence: async (fence: Fence) => {
        if (fence.minToken === pending.token) return raise?.(fence);
        desk.active = [pending];
        throw new OpencodeToolsError('OCT_STALE_FENCING_TOKEN', 'The fence is higher already');
      },
    });
    expect(await passBarrier(desk.kernel, pending, call)).toBe(2);
    expect(desk.asked).toEqual([
      ['fence', { minToken: pending.token, revoked: [] }],
      ['confirm', proof],
    ]);
  });

  test('a sandbox of a newer registry is left alone, and a takeover raises the tokens for the next lease', async () => {
    const desk = deskWith();
    Object.assign(desk.handle ?? {}, {
      fence: async () =>
        Promise.reject(
          new OpencodeToolsError('OCT_STALE_FENCING_TOKEN', 'The fence is higher already', {
            details: { highestToken: 50 },
          }),
        ),
    });
    await expect(passBarrier(desk.kernel, pending, call)).rejects.toMatchObject({
      code: 'OCT_STALE_FENCING_TOKEN',
      remedy: expect.stringContaining('--takeover') as string,
    });
    expect(desk.asked).toEqual([]);
    let attempts = 0;
    const again = withRaisedTokens(async () => {
      attempts += 1;
      return passBarrier(desk.kernel, pending, call, { takeover: true });
    });
    await expect(again).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
    expect(attempts).toBe(2);
    expect(desk.asked).toEqual([1, 2].map(() => ['raiseTokens', { by: proof, seen: 50 }]));
  });

  test('a container that goes away meanwhile took everything along; any other failure keeps the lease unusable', async () => {
    const failing = (error: Error) => ({ ref: 'box', inspect: async () => Promise.reject(error) });
    const gone = deskWith({ handle: failing(new OpencodeToolsError('OCT_SANDBOX_NOT_FOUND', 'gone')) });
    expect(await passBarrier(gone.kernel, pending, call)).toBe(0);
    expect(gone.of('confirm')).toHaveLength(1);
    const away = deskWith({ handle: failing(new OpencodeToolsError('OCT_ENGINE_UNAVAILABLE', 'away')) });
    await expect(passBarrier(away.kernel, pending, call)).rejects.toMatchObject({ code: 'OCT_ENGINE_UNAVAILABLE' });
    expect(away.of('confirm')).toEqual([]);
  });
});

describe('the tokens that may act', () => {
  test.each([
    [[], { minToken: 0, revoked: [] }],
    [[7], { minToken: 7, revoked: [] }],
    [[12, 9, 10], { minToken: 9, revoked: [11] }],
    [[100, 20], { minToken: 20, revoked: Array.from({ length: 79 }, (_, index) => 21 + index) }],
  ])('are those from the oldest active one on, but those that ended: %j', async (tokens, fence) => {
    const desk = deskWith({ active: tokens.map((token) => leaseWith({ token })) });
    expect(await currentFence(desk.kernel, taskId)).toEqual(fence);
  });
});
