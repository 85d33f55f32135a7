import { expect, test } from 'vitest';
import { Turnstile } from './turnstile.ts';

test('a turnstile lets so many through at once, in order, and the next when one is done or fails', async () => {
  const turnstile = new Turnstile(2);
  const began: number[] = [];
  const ends = Array.from({ length: 4 }, () => Promise.withResolvers<void>());
  const passing = ends.map(async ({ promise }, index) =>
    turnstile.pass(async () => {
      began.push(index);
      await promise;
    }),
  );
  await Promise.resolve();
  expect(began).toEqual([0, 1]);
  ends[1]?.reject(new Error('failed'));
  await expect(passing[1]).rejects.toThrow('failed');
  await Promise.resolve();
  expect(began).toEqual([0, 1, 2]);
  ends[0]?.resolve();
  await passing[0];
  await Promise.resolve();
  expect(began).toEqual([0, 1, 2, 3]);
  for (const { resolve } of ends) resolve();
  await Promise.allSettled(passing);
});

test('whoever gives up while waiting leaves its place to the others', async () => {
  const turnstile = new Turnstile(1);
  const first = Promise.withResolvers<void>();
  const holding = turnstile.pass(() => first.promise);
  const abort = new AbortController();
  const given = turnstile.pass(async () => 'never', abort.signal);
  const next = turnstile.pass(async () => 'next');
  abort.abort(new Error('given up'));
  await expect(given).rejects.toThrow('given up');
  first.resolve();
  await holding;
  expect(await next).toBe('next');
  await expect(turnstile.pass(async () => 'no', AbortSignal.abort(new Error('at once')))).rejects.toThrow('at once');
});
