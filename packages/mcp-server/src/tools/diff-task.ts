import type { Checkpoint, CheckpointComparison, ReviewedWork, SessionId, TaskId } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { changeLines, changesField, tripwiresField, tripwiresOf } from '../text/changed-paths.ts';
import { type ToolContext, defineTool } from '../tool.ts';
import { checkpoint, count, optionalSessionId, taskId } from './fields.ts';

const changes = z.array(z.object({ path: z.string(), change: z.string() }));

export const diffTask = defineTool({
  name: 'diff_task',
  title: 'List what a task changed',
  description: 'List changes between checkpoints, by default source and now, with tripwires.',
  input: z.strictObject({
    task_id: taskId,
    session_id: optionalSessionId,
    from: checkpoint.optional(),
    to: checkpoint.optional(),
  }),
  output: z.object({
    from_checkpoint_id: z.string().optional(),
    to_checkpoint_id: z.string(),
    changes,
    home_changes: changes.optional(),
    root_differs: z.boolean().optional(),
    tripwires: z.array(z.object({ path: z.string(), rule: z.string(), why: z.string() })),
    total: count,
  }),
  async run({ task_id, session_id: sessionId, from, to }, context) {
    const id = await context.taskId(task_id);
    const { checkpoints, work } = context.home.services;
    if (from !== undefined)
      return compared(await checkpoints.compare(id, from, to ?? (await saved(id, sessionId, context)).id));
    const under = sessionId === undefined ? {} : { sessionId };
    const options = { ...under, ...(to === undefined ? {} : { checkpoint: to }) };
    return reviewed(await work.review(id, options, await context.call({ sessionId })));
  },
});

async function saved(id: TaskId, sessionId: SessionId | undefined, context: ToolContext): Promise<Checkpoint> {
  const under = sessionId === undefined ? {} : { sessionId };
  const call = await context.call({ sessionId });
  return context.home.services.checkpoints.create(id, { ...under, reason: 'to compare with' }, call);
}

function reviewed({ checkpoint: { id }, changes: all, tripwires }: ReviewedWork) {
  return {
    text: [
      `Since the workspace was made, until ${id}:`,
      ...orNothing(changeLines(all)),
      ...tripwiresOf(tripwires),
    ].join('\n'),
    data: {
      to_checkpoint_id: id,
      changes: changesField(all),
      tripwires: tripwiresField(tripwires),
      total: all.length,
    },
  };
}

function compared({ from, to, workspace, home, rootDiffers }: CheckpointComparison) {
  const lines = orNothing([...changeLines(workspace), ...changeLines(home, '~/')]);
  return {
    text: [
      `From ${from.id} to ${to.id}:`,
      ...lines,
      ...(rootDiffers ? ['The root file systems are different images.'] : []),
    ].join('\n'),
    data: {
      from_checkpoint_id: from.id,
      to_checkpoint_id: to.id,
      changes: changesField(workspace),
      home_changes: changesField(home),
      root_differs: rootDiffers,
      tripwires: [],
      total: workspace.length + home.length,
    },
  };
}

function orNothing(lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? ['Nothing changed.'] : lines;
}
