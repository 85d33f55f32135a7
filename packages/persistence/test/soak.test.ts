import { afterEach, beforeEach, expect, test } from 'vitest';
import { homeIn } from './administration.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';
import { soak, soakLimitMs } from './soak.ts';

let temporary: ReturnType<typeof temporaryDirectory>;
beforeEach(() => {
  temporary = temporaryDirectory();
});
afterEach(() => temporary.remove());

test(
  '16 contenders on one task of SQLite, and 50 on many, killed and stopped at random, keep every promise',
  async () => {
    expect(await soak(homeIn(temporary.path), { engine: 'sqlite' })).toEqual([]);
  },
  soakLimitMs,
);
