import * as z from 'zod/v4';
import { defineTool } from '../tool.ts';
import { optionalSessionId, taskId, unlistedKey } from './fields.ts';

export const completeTask = defineTool({
  name: 'complete_task',
  title: 'Mark a task as done',
  description: 'Mark a task as done.',
  annotations: { destructiveHint: true },
  input: z.strictObject({
    task_id: taskId,
    session_id: optionalSessionId,
    summary: z.string().max(20_000).optional(),
    idempotency_key: unlistedKey,
  }),
  output: z.object({ task_id: z.string(), status: z.string() }),
  async run({ task_id, session_id: sessionId, summary, idempotency_key: key }, context) {
    const id = await context.taskId(task_id, key);
    const call = await context.call({ sessionId }, key);
    const options = {
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(summary === undefined ? {} : { summary }),
    };
    const task = await context.home.services.tasks.complete(id, options, call);
    if (sessionId !== undefined) context.letGo(sessionId);
    return { text: `Task ${task.id} is ${task.status}.`, data: { task_id: task.id, status: task.status } };
  },
});
