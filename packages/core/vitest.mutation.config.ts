import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const conditions = ['@opencode-tools/source', 'module', 'node', 'development'];
const source = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

/**
 * The tests that mutants of leases, claims, ledger and state machine have to survive: those beside the code, and those of the
 * services on a real registry. Workspace packages are taken from the copy that is mutated, not through links out of it.
 */
export default defineConfig({
  root: source('..'),
  resolve: {
    conditions,
    alias: [
      { find: /^@opencode-tools\/core$/, replacement: source('core/src/index.ts') },
      { find: /^@opencode-tools\/testkit$/, replacement: source('testkit/src/index.ts') },
      { find: /^@opencode-tools\/persistence\/sqlite$/, replacement: source('persistence/src/sqlite.ts') },
    ],
  },
  ssr: { resolve: { conditions } },
  test: {
    include: [
      'packages/core/src/**/*.test.ts',
      'packages/toolkit/test/claims.test.ts',
      'packages/toolkit/test/shared-state.test.ts',
      'packages/toolkit/test/sessions.test.ts',
    ],
    environment: 'node',
    pool: 'threads',
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
