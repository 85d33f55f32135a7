import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { SharedWork } from './shared-work.ts';

function slow(begun: AbortSignal[]) {
  return async (signal: AbortSignal): Promise<number> => {
    begun.push(signal);
    const number = begun.length;
    await delay(50, undefined, { signal });
    return number;
  };
}

test('all who ask meanwhile get what was begun once, and who asks later has it begun again', async () => {
  const begun: AbortSignal[] = [];
  const shared = new SharedWork<number>();
  const both = [shared.join('one', slow(begun)), shared.join('one', slow(begun))];
  await expect(Promise.all([...both, shared.join('other', slow(begun))])).resolves.toEqual([1, 1, 2]);
  await expect(shared.join('one', slow(begun))).resolves.toBe(3);
});

test('who gives up leaves the work to those who still wait', async () => {
  const begun: AbortSignal[] = [];
  const shared = new SharedWork<number>();
  const controller = new AbortController();
  const first = shared.join('one', slow(begun), controller.signal);
  const second = shared.join('one', slow(begun));
  controller.abort();
  await expect(first).rejects.toMatchObject({ code: 'OCT_CANCELLED' });
  await expect(second).resolves.toBe(1);
});

test('work that nobody waits for any more ends, and is begun anew for who asks then', async () => {
  const begun: AbortSignal[] = [];
  const shared = new SharedWork<number>();
  const controllers = [new AbortController(), new AbortController()];
  const given = controllers.map(({ signal }) => shared.join('one', slow(begun), signal));
  for (const controller of controllers) controller.abort();
  const again = shared.join('one', slow(begun));
  for (const one of given) await expect(one).rejects.toMatchObject({ code: 'OCT_CANCELLED' });
  expect(begun[0]?.aborted).toBe(true);
  await expect(again).resolves.toBe(2);
});

test('work that fails fails for all who wait', async () => {
  const shared = new SharedWork<number>();
  const fail = async (): Promise<number> => Promise.reject(new RangeError('no'));
  const given = await Promise.allSettled([shared.join('one', fail), shared.join('one', fail)]);
  expect(given.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
});
