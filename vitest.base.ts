import { fileURLToPath } from 'node:url';
import { defineProject } from 'vitest/config';

const conditions = ['@opencode-tools/source', 'module', 'node', 'development'];
/** Code that one child process has read and compiled, for those after it: starting is most of what a child costs. */
const compileCache = fileURLToPath(new URL('node_modules/.cache/children', import.meta.url));

/**
 * Gives the test configuration that every package shares.
 * Workspace packages resolve to their sources, so no test of a package needs a build.
 *
 * @param name project name as printed by vitest, for instance `core` (`vitest --project core`)
 * @param isolate false where files leave nothing behind in their process: they then share it, and what it has imported
 */
export function packageTests(name: string, { isolate = true }: { readonly isolate?: boolean } = {}) {
  return defineProject({
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: {
      name,
      include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
      environment: 'node',
      pool: 'forks',
      isolate,
      // Engine tests start containers; two files at once keep a small machine responsive. Of a project alone: the default of a
      // machine with two processors is one, whatever the root says.
      maxWorkers: 2,
      env: { NODE_COMPILE_CACHE: compileCache },
      testTimeout: 180_000,
      hookTimeout: 180_000,
    },
  });
}
