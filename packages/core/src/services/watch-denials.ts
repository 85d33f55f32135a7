import type { Task } from '../domain/task.ts';
import type { ExecutionId } from '../domain/ids.ts';
import type { SandboxHandle } from '../ports/sandbox-runtime.ts';
import type { Redaction } from './redactor.ts';
import { noteUnroutable } from './note-unroutable.ts';
import type { Kernel } from './kernel.ts';

const mostShown = 5;
const mostRead = 200;

interface DeniedUnder {
  readonly executionId: ExecutionId;
  readonly token: number;
  /** For what a command asked for, which may hold a secret: a name, say, or a path. */
  readonly redaction: Redaction | undefined;
}

/**
 * Notes where the task's egress log ends, and gives what tells the denials that came after: a command that was refused a connection
 * often says nothing of use about it.
 */
export async function watchDenials(
  kernel: Kernel,
  task: Task,
  handle: SandboxHandle,
  { redaction, ...under }: DeniedUnder,
): Promise<() => Promise<readonly string[]>> {
  const { egress } = kernel.deps;
  if (task.sandboxSpec.network.mode !== 'policy') return async () => [];
  const from = await egress.logPosition(task.id);
  return async () => {
    await noteUnroutable(kernel, task, handle, under);
    const denied = await egress.readLog(task.id, { from, limit: mostRead, deniedOnly: true });
    const hidden = (text: string): string => redaction?.text(text) ?? text;
    const said = [...new Set(denied.flatMap(({ explanation }) => hidden(explanation ?? '') || []))];
    const more = said.length - mostShown;
    return [
      ...said.slice(0, mostShown),
      ...(more > 0 ? [`${more} more egress denials are in the log of the task.`] : []),
    ];
  };
}
