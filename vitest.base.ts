import { defineProject } from 'vitest/config';

const conditions = ['@opencode-tools/source', 'module', 'node', 'development'];

/**
 * Gives the test configuration that every package shares.
 * Workspace packages resolve to their sources, so no test of a package needs a build.
 *
 * @param name project name as printed by vitest, for instance `core` (`vitest --project core`)
 */
export function packageTests(name: string) {
  return defineProject({
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: {
      name,
      include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
      environment: 'node',
      pool: 'forks',
      testTimeout: 180_000,
      hookTimeout: 180_000,
    },
  });
}
