import * as z from 'zod/v4';
import { defineTool } from '../tool.ts';
import { sessionId, unlistedKey } from './fields.ts';

export const detachAgentFromTask = defineTool({
  name: 'detach_agent_from_task',
  title: 'Detach from a task',
  description: 'End your session; the last one suspends the task. Its work stays.',
  annotations: { idempotentHint: true },
  input: z.strictObject({
    session_id: sessionId,
    reason: z.string().max(500).optional(),
    idempotency_key: unlistedKey,
  }),
  output: z.object({ task_id: z.string(), status: z.string() }),
  async run({ session_id: id, reason, idempotency_key: key }, context) {
    const call = await context.call({ sessionId: id }, key);
    const task = await context.home.services.sessions.detach(id, reason === undefined ? {} : { reason }, call);
    context.letGo(id);
    return { text: `Detached. Task ${task.id} is ${task.status}.`, data: { task_id: task.id, status: task.status } };
  },
});
