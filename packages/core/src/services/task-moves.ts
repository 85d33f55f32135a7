import type { JsonObject } from '../domain/json.ts';
import type { LeaseProof } from '../domain/session.ts';
import { assertMove, canMove, moveRecordType } from '../domain/task-machine.ts';
import type { Task, TaskStatus } from '../domain/task.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { RecordDraft } from '../ledger/ledger-record.ts';
import { type Kernel, draft, leaseGuard } from './kernel.ts';
import type { Call } from './services.ts';

export interface MoveOptions {
  readonly reason?: string | null;
  readonly detail?: JsonObject;
}

/** The task after a move and the record that says so. */
export function moveTask(
  kernel: Kernel,
  task: Task,
  to: TaskStatus,
  proof: LeaseProof | null,
  call: Call,
  options: MoveOptions = {},
): { readonly task: Task; readonly record: RecordDraft } {
  assertMove(task.status, to);
  const at = kernel.now();
  const ended = to === 'completed' || to === 'cancelled';
  const moved: Task = {
    ...task,
    status: to,
    statusReason: options.reason ?? null,
    version: task.version + 1,
    updatedAt: at,
    startedAt: task.startedAt ?? (to === 'running' ? at : null),
    endedAt: ended ? at : null,
  };
  const record = draft({
    stream: task.id,
    type: moveRecordType(task.status, to),
    call,
    proof,
    puts: [{ noun: 'task', value: moved }],
    detail: { from: task.status, to, ...options.detail },
  });
  return { task: moved, record };
}

/** Brings a task to `running` by the shortest allowed way, reopening it when asked to. */
export async function ensureRunningStatus(
  kernel: Kernel,
  task: Task,
  proof: LeaseProof,
  call: Call,
  options: MoveOptions & { readonly reopen: boolean },
): Promise<Task> {
  return kernel.changeTask(task.id, (current) => {
    if (current.status === 'running') return { change: null, result: current };
    if (!canMove(current.status, 'running') && !options.reopen) throw endedTask(current);
    const reopened = canMove(current.status, 'running') ? null : moveTask(kernel, current, 'suspended', proof, call);
    const moved = moveTask(kernel, reopened?.task ?? current, 'running', proof, call, options);
    const records = reopened === null ? [moved.record] : [reopened.record, moved.record];
    return { change: { guard: leaseGuard(proof), records }, result: moved.task };
  });
}

function endedTask(task: Task): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_TRANSITION', `Task ${task.id} is ${task.status}`, {
    remedy: 'Attach to the task to reopen it, then try again.',
    details: { taskId: task.id, status: task.status },
  });
}
