import type { Task } from '../domain/task.ts';
import type { ExecutionId } from '../domain/ids.ts';
import type { SandboxHandle } from '../ports/sandbox-runtime.ts';
import { noteUnroutable } from './note-unroutable.ts';
import type { Kernel } from './kernel.ts';

const mostShown = 5;
const mostRead = 200;

/**
 * Notes where the task's egress log ends, and gives what tells the denials that came after: a command that was refused a connection
 * often says nothing of use about it.
 */
export async function watchDenials(
  kernel: Kernel,
  task: Task,
  handle: SandboxHandle,
  under: { readonly executionId: ExecutionId; readonly token: number },
): Promise<() => Promise<readonly string[]>> {
  const { egress } = kernel.deps;
  if (task.sandboxSpec.network.mode !== 'policy') return async () => [];
  const from = await egress.logPosition(task.id);
  return async () => {
    await noteUnroutable(kernel, task, handle, under);
    const denied = await egress.readLog(task.id, { from, limit: mostRead, deniedOnly: true });
    const said = [...new Set(denied.flatMap(({ explanation }) => explanation ?? []))];
    const more = said.length - mostShown;
    return [
      ...said.slice(0, mostShown),
      ...(more > 0 ? [`${more} more egress denials are in the log of the task.`] : []),
    ];
  };
}
