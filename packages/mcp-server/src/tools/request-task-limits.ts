import * as z from 'zod/v4';
import { defineTool } from '../tool.ts';
import { optionalSessionId, taskId } from './fields.ts';

const mebibyte = 1024 ** 2;

export const requestTaskLimits = defineTool({
  name: 'request_task_limits',
  title: 'Ask for higher limits',
  description: 'Ask a person to raise limits.',
  annotations: { idempotentHint: true },
  input: z.strictObject({
    task_id: taskId,
    session_id: optionalSessionId,
    memory_mb: z.int().min(32).optional(),
    cpus: z.number().min(0.1).optional(),
    pids: z.int().min(16).optional(),
    reason: z.string().min(1).max(2_000),
  }),
  output: z.object({ task_id: z.string(), memory_mb: z.number(), cpus: z.number(), pids: z.number() }),
  async run({ task_id, session_id: sessionId, memory_mb: memory, cpus, pids, reason }, context) {
    const id = await context.taskId(task_id);
    const call = await context.call({ sessionId });
    const limits = {
      ...(memory === undefined ? {} : { memoryBytes: memory * mebibyte }),
      ...(cpus === undefined ? {} : { cpus }),
      ...(pids === undefined ? {} : { pids }),
    };
    const request = await context.home.services.sandboxes.requestLimits(id, { limits, reason }, call);
    const asked = {
      memory_mb: Math.round(request.limits.memoryBytes / mebibyte),
      cpus: request.limits.cpus,
      pids: request.limits.pids,
    };
    return {
      text: `Asked for ${asked.memory_mb} MiB, ${asked.cpus} cores, ${asked.pids} processes. A person answers; get_task_status shows whether it is still open.`,
      data: { task_id: id, ...asked },
    };
  },
});
