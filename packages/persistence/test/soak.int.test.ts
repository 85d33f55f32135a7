import { type PostgresServer, startPostgres } from '@opencode-tools/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { freshSchema, homeIn, urlFrom } from './administration.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';
import { soak, soakLimitMs } from './soak.ts';

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

test(
  '16 contenders on one task of PostgreSQL, and 50 on many, killed and stopped at random, keep every promise',
  async () => {
    const place = { engine: 'postgres', url: await freshSchema(server.url), urlFrom } as const;
    expect(await soak(homeIn(temporary.path), place)).toEqual([]);
  },
  soakLimitMs,
);
