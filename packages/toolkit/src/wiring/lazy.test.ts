import { expect, test } from 'vitest';
import { lazy, lazyMethods } from './lazy.ts';

class Counter {
  #count = 0;

  async add(amount: number): Promise<number> {
    this.#count += amount;
    return this.#count;
  }
}

test('a lazy port is made at the first call, once, and keeps its identity', async () => {
  let made = 0;
  const load = lazy(async () => {
    made += 1;
    return new Counter();
  });
  const port = lazyMethods(load, ['add']);
  expect(load.peek()).toBeUndefined();
  await expect(Promise.all([port.add(1), port.add(2)])).resolves.toEqual([1, 3]);
  expect(made).toBe(1);
});

test('a port that could not be made is tried again at the next call', async () => {
  let attempts = 0;
  const port = lazyMethods(
    lazy<Counter>(async () => {
      attempts += 1;
      if (attempts === 1) throw new Error('no engine yet');
      return new Counter();
    }),
    ['add'],
  );
  await expect(port.add(1)).rejects.toThrow('no engine yet');
  await expect(port.add(1)).resolves.toBe(1);
});
