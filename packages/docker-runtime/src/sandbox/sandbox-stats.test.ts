import { expect, test } from 'vitest';
import { sandboxStats } from './sandbox-stats.ts';

test.each([
  ['cgroup 1', { inactive_file: 1, active_file: 1, total_inactive_file: 20, total_active_file: 30 }, 50],
  ['cgroup 2', { inactive_file: 20, active_file: 30, slab_reclaimable: 7 }, 43],
  ['an engine that tells no parts', {}, 100],
  ['parts that were read later than the whole', { inactive_file: 200 }, 0],
] as const)('memory in use is without what the kernel can have back, on %s', (_on, stats, used) => {
  expect(sandboxStats({ memory_stats: { usage: 100, limit: 200, stats } })).toMatchObject({ memoryBytes: used });
});
