import * as z from 'zod/v4';
import { checkpointLine } from '../text/checkpoint-line.ts';
import { noticeLines } from '../text/notice-lines.ts';
import { defineTool } from '../tool.ts';
import { checkpoint, count, optionalSessionId, taskId, unlistedKey } from './fields.ts';

export const createTaskCheckpoint = defineTool({
  name: 'create_task_checkpoint',
  title: 'Save a checkpoint of a task',
  description: 'Save workspace, home directory and installed software.',
  input: z.strictObject({
    task_id: taskId,
    session_id: optionalSessionId,
    name: z.string().min(1).max(100).optional(),
    reason: z.string().max(2_000).optional(),
    idempotency_key: unlistedKey,
  }),
  output: z.object({ checkpoint_id: z.string(), name: z.string() }),
  async run({ task_id, session_id: sessionId, name, reason, idempotency_key: key }, context) {
    const id = await context.taskId(task_id, key);
    const options = {
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(name === undefined ? {} : { name }),
      ...(reason === undefined ? {} : { reason }),
    };
    const call = await context.call({ sessionId }, key);
    const made = await context.home.services.checkpoints.create(id, options, call);
    return {
      text: [`Saved: ${checkpointLine(made)}`, ...noticeLines(made.notices)].join('\n'),
      data: { checkpoint_id: made.id, name: made.name },
    };
  },
});

export const restoreTaskCheckpoint = defineTool({
  name: 'restore_task_checkpoint',
  title: 'Bring a task back to a checkpoint',
  description: 'Saves the present first; ends commands.',
  annotations: { destructiveHint: true },
  input: z.strictObject({ task_id: taskId, session_id: optionalSessionId, checkpoint, idempotency_key: unlistedKey }),
  output: z.object({
    checkpoint_id: z.string(),
    saved_checkpoint_id: z.string().optional(),
    ended_processes: count,
  }),
  async run({ task_id, session_id: sessionId, checkpoint: reference, idempotency_key: key }, context) {
    const id = await context.taskId(task_id, key);
    const under = sessionId === undefined ? {} : { sessionId };
    const call = await context.call({ sessionId }, key);
    const {
      checkpoint: at,
      saved,
      endedProcesses,
      notices = [],
    } = await context.home.services.checkpoints.restore(id, reference, under, call);
    const before = saved === null ? [] : [`What was there before: ${checkpointLine(saved)}`];
    return {
      text: [`The task is as it was at ${checkpointLine(at)}`, ...before, ...noticeLines(notices)].join('\n'),
      data: {
        checkpoint_id: at.id,
        ...(saved === null ? {} : { saved_checkpoint_id: saved.id }),
        ended_processes: endedProcesses,
      },
    };
  },
});
