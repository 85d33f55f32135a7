import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: ['packages/*', 'apps/*', 'scripts'],
    // A pin that is absent fails; `vitest run -u` writes it.
    update: 'none',
    // Engine tests start containers; three files at once keep a machine of two cores busy and responsive.
    maxWorkers: 3,
    coverage: {
      provider: 'v8',
      include: ['packages/*/src/**/*.ts', 'apps/*/src/**/*.ts'],
      exclude: ['**/*.test.ts'],
    },
  },
});
