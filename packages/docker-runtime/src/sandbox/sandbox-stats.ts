import type { SandboxStats } from '@opencode-tools/core';

interface MemoryParts {
  readonly total_inactive_file?: number;
  readonly total_active_file?: number;
  readonly inactive_file?: number;
  readonly active_file?: number;
  readonly slab_reclaimable?: number;
}

/** The parts that we read; engines on cgroup 1 and 2 fill in different ones. */
export interface EngineStats {
  readonly memory_stats?: {
    readonly usage?: number;
    readonly limit?: number;
    readonly max_usage?: number;
    readonly stats?: MemoryParts;
  };
  readonly cpu_stats?: { readonly cpu_usage?: { readonly total_usage?: number } };
  readonly pids_stats?: { readonly current?: number; readonly limit?: number };
}

/**
 * Memory in use is what cannot be had back: usage without the pages of files, those read often (`active_file`) too, and without what the kernel
 * remembers of names (`slab_reclaimable`). It lets go of both before it ends a process; files in a tmpfs are not among them. `docker stats`
 * leaves out `inactive_file` alone, and so shows a sandbox as full that has read its files twice.
 */
export function sandboxStats({ memory_stats: memory, cpu_stats: cpu, pids_stats: pids }: EngineStats): SandboxStats {
  return {
    memoryBytes: Math.max(0, (memory?.usage ?? 0) - reclaimable(memory?.stats ?? {})),
    memoryPeakBytes: memory?.max_usage ?? null,
    memoryLimitBytes: memory?.limit ?? 0,
    cpuNanoseconds: cpu?.cpu_usage?.total_usage ?? 0,
    processes: pids?.current ?? 0,
    processLimit: finite(pids?.limit),
  };
}

function reclaimable(stats: MemoryParts): number {
  const inactive = stats.total_inactive_file ?? stats.inactive_file ?? 0;
  const active = stats.total_active_file ?? stats.active_file ?? 0;
  return inactive + active + (stats.slab_reclaimable ?? 0);
}

/** Engines say "no limit" by leaving it out, by 0, or by the largest number there is. */
function finite(limit: number | undefined): number | null {
  return limit === undefined || limit === 0 || limit > Number.MAX_SAFE_INTEGER ? null : limit;
}
