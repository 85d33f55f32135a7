import { mkdirSync, statfsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineProject } from 'vitest/config';

const conditions = ['@opencode-tools/source', 'module', 'node', 'development'];
const shared = '/dev/shm';
const roomNeededBytes = 2 * 1024 ** 3;

/** Code that one child process has read and compiled, for those after it: starting is most of what a child costs. */
const compileCache = fileURLToPath(new URL('node_modules/.cache/children', import.meta.url));

/**
 * Gives the test configuration that every package shares.
 * Workspace packages resolve to their sources, so no test of a package needs a build.
 *
 * @param name project name as printed by vitest, for instance `core` (`vitest --project core`)
 * @param options `inMemory`: temporary directories are in memory where there is room (`/dev/shm`). For tests that flush much and
 * whose proof is that of ended processes, not of lost power
 */
export function packageTests(name: string, { inMemory = false }: { readonly inMemory?: boolean } = {}) {
  return defineProject({
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: {
      name,
      include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
      environment: 'node',
      pool: 'forks',
      env: { NODE_COMPILE_CACHE: compileCache, ...(inMemory ? temporaryInMemory() : {}) },
      testTimeout: 180_000,
      hookTimeout: 180_000,
    },
  });
}

function temporaryInMemory(): { readonly TMPDIR?: string } {
  try {
    const { bavail, bsize } = statfsSync(shared);
    if (bavail * bsize < roomNeededBytes) return {};
    const directory = `${shared}/opencode-tools-tests-${process.getuid?.() ?? 0}`;
    mkdirSync(directory, { recursive: true, mode: 0o711 });
    return { TMPDIR: directory };
  } catch {
    return {};
  }
}
