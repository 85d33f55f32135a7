import { afterEach, beforeEach, expect, test } from 'vitest';
import { homeIn } from './administration.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';
import { contests, soak, soakLimitMs } from './soak.ts';

let temporary: ReturnType<typeof temporaryDirectory>;
beforeEach(() => {
  temporary = temporaryDirectory();
});
afterEach(() => temporary.remove());

test.each(Object.entries(contests))(
  '%s of SQLite, killed and stopped at random, keep every promise',
  async (_, contest) => {
    expect(await soak(homeIn(temporary.path), { engine: 'sqlite' }, contest)).toEqual([]);
  },
  soakLimitMs,
);
