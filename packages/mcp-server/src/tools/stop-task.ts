import * as z from 'zod/v4';
import { defineTool } from '../tool.ts';
import { optionalSessionId, taskId, unlisted, unlistedKey } from './fields.ts';

export const stopTask = defineTool({
  name: 'stop_task',
  title: 'Stop a task',
  description: 'End commands and sessions, stop the sandbox, suspend the task.',
  annotations: { destructiveHint: true, idempotentHint: true },
  input: z.strictObject({
    task_id: taskId,
    session_id: optionalSessionId,
    grace_seconds: z.number().min(0).max(60).optional().meta(unlisted),
    idempotency_key: unlistedKey,
  }),
  output: z.object({ task_id: z.string(), status: z.string() }),
  async run({ task_id, session_id: sessionId, grace_seconds: grace, idempotency_key: key }, context) {
    const id = await context.taskId(task_id);
    const call = await context.call({ sessionId }, key);
    const options = {
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(grace === undefined ? {} : { graceMs: Math.round(grace * 1_000) }),
    };
    const task = await context.home.services.tasks.stop(id, options, call);
    if (sessionId !== undefined) context.letGo(sessionId);
    return { text: `Task ${task.id} is ${task.status}.`, data: { task_id: task.id, status: task.status } };
  },
});
