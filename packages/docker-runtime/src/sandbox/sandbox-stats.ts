import type { SandboxStats } from '@opencode-tools/core';

/** The parts that we read; engines on cgroup 1 and 2 fill in different ones. */
export interface EngineStats {
  readonly memory_stats?: {
    readonly usage?: number;
    readonly limit?: number;
    readonly max_usage?: number;
    readonly stats?: {
      readonly cache?: number;
      readonly total_inactive_file?: number;
      readonly inactive_file?: number;
    };
  };
  readonly cpu_stats?: { readonly cpu_usage?: { readonly total_usage?: number } };
  readonly pids_stats?: { readonly current?: number; readonly limit?: number };
}

/** Memory in use is what cannot be had back at once: usage without inactive file pages, as `docker stats` counts it. */
export function sandboxStats({ memory_stats: memory, cpu_stats: cpu, pids_stats: pids }: EngineStats): SandboxStats {
  const inactive = memory?.stats?.total_inactive_file ?? memory?.stats?.inactive_file ?? 0;
  return {
    memoryBytes: Math.max(0, (memory?.usage ?? 0) - inactive),
    memoryPeakBytes: memory?.max_usage ?? null,
    memoryLimitBytes: memory?.limit ?? 0,
    cpuNanoseconds: cpu?.cpu_usage?.total_usage ?? 0,
    processes: pids?.current ?? 0,
    processLimit: finite(pids?.limit),
  };
}

/** Engines say "no limit" by leaving it out, by 0, or by the largest number there is. */
function finite(limit: number | undefined): number | null {
  return limit === undefined || limit === 0 || limit > Number.MAX_SAFE_INTEGER ? null : limit;
}
