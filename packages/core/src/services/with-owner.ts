import type { Execution } from '../domain/execution.ts';
import type { Kernel } from './kernel.ts';

/**
 * Says of a command whose process died that it is interrupted, also before whoever holds the task next records its end. One in the
 * background goes on without its process.
 */
export async function withOwner({ deps }: Kernel, execution: Execution): Promise<Execution> {
  if (execution.state !== 'running' || execution.background === true) return execution;
  const operation = await deps.tasks.findOperation(execution.operationId);
  if (operation?.state !== 'open' || deps.processes.isAlive(operation.owner)) return execution;
  return { ...execution, state: 'interrupted', reason: 'owner-died' };
}
