import { type PostgresServer, startPostgres } from '@opencode-tools/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { freshSchema, homeIn, urlFrom } from './administration.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';
import { contests, soak, soakLimitMs } from './soak.ts';

let server: PostgresServer;
let temporary: ReturnType<typeof temporaryDirectory>;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());
beforeEach(() => {
  temporary = temporaryDirectory();
});
afterEach(() => temporary.remove());

test.each(Object.entries(contests))(
  '%s of PostgreSQL, killed and stopped at random, keep every promise',
  async (_, contest) => {
    const place = { engine: 'postgres', url: await freshSchema(server.url), urlFrom } as const;
    expect(await soak(homeIn(temporary.path), place, contest)).toEqual([]);
  },
  soakLimitMs,
);
