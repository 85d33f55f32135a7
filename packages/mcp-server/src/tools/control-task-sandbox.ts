import * as z from 'zod/v4';
import { type ToolContext, defineTool } from '../tool.ts';
import { optionalSessionId, taskId } from './fields.ts';

const actions = ['start', 'stop', 'restart', 'pause', 'unpause', 'destroy'] as const;

const input = z.strictObject({
  task_id: taskId,
  session_id: optionalSessionId,
  action: z.enum(actions),
});

export const controlTaskSandbox = defineTool({
  name: 'control_task_sandbox',
  title: 'Control the sandbox of a task',
  description: 'Files stay; destroy saves a checkpoint first.',
  annotations: { destructiveHint: true, idempotentHint: true },
  input,
  output: z.object({ task_id: z.string(), state: z.string() }),
  async run(args, context) {
    const id = await context.taskId(args.task_id);
    const sandbox = await act(args, context);
    const state = sandbox?.state ?? 'absent';
    return { text: `The sandbox is ${state}.`, data: { task_id: id, state } };
  },
});

async function act(args: z.output<typeof input>, context: ToolContext) {
  const { sandboxes } = context.home.services;
  const { session_id: sessionId, action } = args;
  const id = await context.taskId(args.task_id);
  const call = await context.call({ sessionId });
  if (action === 'pause' || action === 'unpause') return sandboxes[action](id, call);
  return sandboxes[action](id, sessionId === undefined ? {} : { sessionId }, call);
}
