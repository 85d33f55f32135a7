import { isId } from '../domain/ids.ts';
import type { TaskId } from '../domain/ids.ts';
import type { JsonValue } from '../domain/json.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { RecordPayload } from '../ledger/ledger-record.ts';
import type { IdempotencyEntry } from '../ports/task-store.ts';
import type { Kernel } from './kernel.ts';
import { taskReference } from './task-reference.ts';

const pageSize = 200;

/**
 * Finds the task that a caller means. A call that is repeated with its key may name the task by a title that the first call took
 * away, by deleting or renaming it: then the task of the first call is meant, if it ever had that title.
 */
export async function resolveTask(kernel: Kernel, reference: string, idempotencyKey?: string): Promise<TaskId> {
  const checked = taskReference(reference);
  try {
    return await kernel.deps.tasks.resolveTaskId(checked);
  } catch (error) {
    if (idempotencyKey === undefined || !isOpencodeToolsError(error, 'OCT_TASK_NOT_FOUND')) throw error;
    const entry = await kernel.deps.tasks.findIdempotency(idempotencyKey.trim());
    const id = entry === undefined ? undefined : await taskOf(kernel, entry);
    if (id === undefined || !(await hadTitle(kernel, id, checked))) throw error;
    return id;
  }
}

async function taskOf(kernel: Kernel, { operationId, result }: IdempotencyEntry): Promise<TaskId | undefined> {
  const operation = operationId === null ? undefined : await kernel.deps.tasks.findOperation(operationId);
  return operation?.taskId ?? taskIn(result);
}

/** A result is a task, or names one. */
function taskIn(result: JsonValue | undefined): TaskId | undefined {
  if (result === null || typeof result !== 'object' || Array.isArray(result)) return undefined;
  const { id, taskId, receipt, task } = result as { readonly [name: string]: JsonValue };
  for (const value of [id, taskId]) if (typeof value === 'string' && isId('task', value)) return value;
  return taskIn(receipt) ?? taskIn(task);
}

async function hadTitle(kernel: Kernel, id: TaskId, title: string): Promise<boolean> {
  for (let afterSeq = 0; ;) {
    const page = await kernel.deps.ledger.read(id, { types: ['task.'], afterSeq, limit: pageSize });
    for (const { payload } of page) {
      const { puts } = JSON.parse(payload ?? '{"puts":[]}') as RecordPayload;
      if (puts.some((put) => put.noun === 'task' && put.value.title === title)) return true;
    }
    const last = page.at(-1);
    if (last === undefined || page.length < pageSize) return false;
    afterSeq = last.seq;
  }
}
