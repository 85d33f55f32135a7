import { parseId } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { defineTool } from '../tool.ts';
import { optionalSessionId, taskId, unlistedKey } from './fields.ts';

const links = <K extends 'execution' | 'checkpoint'>(kind: K) =>
  z
    .array(z.string().max(60))
    .max(50)
    .transform((ids) => ids.map((id) => parseId(kind, id)))
    .optional();

export const recordDecision = defineTool({
  name: 'record_decision',
  title: 'Record a decision',
  description: 'Tell the next agent what was decided and why.',
  input: z.strictObject({
    task_id: taskId,
    session_id: optionalSessionId,
    what: z.string().min(1).max(500),
    why: z.string().max(20_000).optional(),
    alternatives: z.array(z.string().max(2_000)).max(50).optional(),
    execution_ids: links('execution'),
    checkpoint_ids: links('checkpoint'),
    idempotency_key: unlistedKey,
  }),
  output: z.object({ decision_id: z.string(), task_id: z.string() }),
  async run({ task_id, ...args }, context) {
    const id = await context.taskId(task_id);
    const call = await context.call({ sessionId: args.session_id }, args.idempotency_key);
    const decision = {
      what: args.what,
      ...(args.session_id === undefined ? {} : { sessionId: args.session_id }),
      ...(args.why === undefined ? {} : { why: args.why }),
      ...(args.alternatives === undefined ? {} : { alternatives: args.alternatives }),
      ...(args.execution_ids === undefined ? {} : { executionIds: args.execution_ids }),
      ...(args.checkpoint_ids === undefined ? {} : { checkpointIds: args.checkpoint_ids }),
    };
    const recorded = await context.home.services.journal.decide(id, decision, call);
    return { text: `Recorded ${recorded.id}.`, data: { decision_id: recorded.id, task_id: recorded.taskId } };
  },
});
