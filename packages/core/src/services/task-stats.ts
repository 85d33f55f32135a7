import type { Execution } from '../domain/execution.ts';
import type { TaskId } from '../domain/ids.ts';
import type { SandboxStats } from '../ports/sandbox-runtime.ts';
import type { Kernel } from './kernel.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { TaskStats } from './services.ts';

/** Counts of the home, and of one task when it is named. */
export async function taskStats(kernel: Kernel, keeper: SandboxKeeper, id?: TaskId): Promise<TaskStats> {
  const { tasks, checkpoints, ledger } = kernel.deps;
  const counts = await tasks.countTasks();
  if (id === undefined) return { tasks: counts, task: null };
  await tasks.getTask(id);
  const executions = await allExecutions(kernel, id);
  const saved = await checkpoints.list(id);
  const live = await liveStats(kernel, keeper, id);
  return {
    tasks: counts,
    task: {
      executions: executions.length,
      failedExecutions: executions.filter((execution) => execution.state !== 'running' && execution.exitCode !== 0)
        .length,
      commandMs: executions.reduce((sum, execution) => sum + (execution.durationMs ?? 0), 0),
      checkpoints: saved.length,
      checkpointBytes: saved.reduce(
        (sum, { workspace, home }) => sum + (workspace?.addedBytes ?? 0) + (home?.addedBytes ?? 0),
        0,
      ),
      decisions: (await tasks.listDecisions(id)).length,
      records: (await ledger.head(id)).seq,
      sessions: (await tasks.listSessions(id)).length,
      memoryBytes: live?.memoryBytes ?? null,
      processes: live?.processes ?? null,
    },
  };
}

async function allExecutions(kernel: Kernel, id: TaskId): Promise<readonly Execution[]> {
  const all: Execution[] = [];
  let cursor: string | null = null;
  do {
    const page: { readonly items: readonly Execution[]; readonly next: string | null } =
      await kernel.deps.tasks.listExecutions(id, { limit: 500, ...(cursor === null ? {} : { cursor }) });
    all.push(...page.items);
    cursor = page.next;
  } while (cursor !== null);
  return all;
}

async function liveStats(kernel: Kernel, keeper: SandboxKeeper, id: TaskId): Promise<SandboxStats | null> {
  try {
    const found = await keeper.find(id);
    return found === undefined || found.sandbox.state !== 'running' ? null : await found.handle.stats();
  } catch (error) {
    kernel.deps.logger.debug('The engine gave no figures', { error: String(error) });
    return null;
  }
}
