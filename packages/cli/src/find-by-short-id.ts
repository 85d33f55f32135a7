import {
  type ExecutionId,
  OpencodeToolsError,
  type NoteId,
  type Services,
  type TaskId,
  type TodoId,
  isId,
  shortId,
} from '@opencode-tools/core';
import { quoted, usageError } from './arguments/usage-error.ts';

/** Finds an execution of a task by full or short id. @throws OpencodeToolsError `OCT_EXECUTION_NOT_FOUND` */
export async function findExecution(services: Services, taskId: TaskId, reference: string): Promise<ExecutionId> {
  if (isId('execution', reference)) return reference;
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<Services['executions']['list']>> = await services.executions.list(taskId, {
      limit: 500,
      ...(cursor === null ? {} : { cursor }),
    });
    const found = page.items.find(({ id }) => shortId(id) === reference);
    if (found !== undefined) return found.id;
    cursor = page.next;
  } while (cursor !== null);
  throw new OpencodeToolsError('OCT_EXECUTION_NOT_FOUND', `Task ${taskId} has no execution ${quoted(reference)}`, {
    remedy: `List them with \`opencode-tools task-executions ${shortId(taskId)}\`.`,
    details: { taskId, reference },
  });
}

/** Finds a todo of a task by full or short id. @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` */
export async function findTodo(services: Services, taskId: TaskId, reference: string): Promise<TodoId> {
  if (isId('todo', reference)) return reference;
  const found = (await services.journal.todos(taskId)).find(({ id }) => shortId(id) === reference);
  if (found !== undefined) return found.id;
  throw usageError(
    `Task ${taskId} has no todo ${quoted(reference)}`,
    `List them with \`opencode-tools todo list ${shortId(taskId)}\`.`,
    { taskId, reference },
  );
}

/** Finds a note of a task by full or short id. @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` */
export async function findNote(services: Services, taskId: TaskId, reference: string): Promise<NoteId> {
  if (isId('note', reference)) return reference;
  const found = (await services.journal.notes(taskId)).find(({ id }) => shortId(id) === reference);
  if (found !== undefined) return found.id;
  throw usageError(
    `Task ${taskId} has no note ${quoted(reference)}`,
    `List them with \`opencode-tools note list ${shortId(taskId)}\`.`,
    { taskId, reference },
  );
}
