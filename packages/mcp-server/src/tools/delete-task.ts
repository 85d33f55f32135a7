import type { Deletion } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { noticeLines } from '../text/notice-lines.ts';
import { defineTool } from '../tool.ts';
import { count, optionalSessionId, taskId, unlistedKey } from './fields.ts';

export const deleteTask = defineTool({
  name: 'delete_task',
  title: 'Delete a task',
  description: 'Remove sandbox and volumes after a final checkpoint. Its record stays.',
  annotations: { destructiveHint: true, idempotentHint: true },
  input: z.strictObject({
    task_id: taskId,
    session_id: optionalSessionId,
    dry_run: z.boolean().optional(),
    force: z.boolean().optional(),
    idempotency_key: unlistedKey,
  }),
  output: z.object({
    task_id: z.string(),
    dry_run: z.boolean(),
    final_checkpoint_id: z.string().optional(),
    memory: z.string(),
    containers: count,
    volumes: count,
    networks: count,
    kept_images: z.array(z.string()),
  }),
  async run({ task_id, session_id: sessionId, dry_run: dryRun, force, idempotency_key: key }, context) {
    const id = await context.taskId(task_id, key);
    const call = await context.call({ sessionId }, key);
    const options = {
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(dryRun === undefined ? {} : { dryRun }),
      ...(force === undefined ? {} : { force }),
    };
    const deletion = await context.home.services.tasks.delete(id, options, call);
    if (!deletion.dryRun && sessionId !== undefined) context.letGo(sessionId);
    return answer(deletion);
  },
});

function answer({ dryRun, receipt, notices }: Deletion) {
  const { containers, volumes, networks } = receipt.removed;
  const checkpoint = receipt.finalCheckpointId;
  const what = `${containers} containers, ${volumes} volumes, ${networks} networks`;
  return {
    text: [
      dryRun
        ? `Deleting task ${receipt.taskId} would remove ${what}.`
        : `Task ${receipt.taskId} deleted: removed ${what}.`,
      ...(checkpoint === null ? [] : [`Final checkpoint: ${checkpoint}`]),
      ...noticeLines(notices),
      ...(receipt.lost ?? []).map((what) => `Lost: ${what}`),
      `Its record stays in ${receipt.memory} of the home directory.`,
    ].join('\n'),
    data: {
      task_id: receipt.taskId,
      dry_run: dryRun,
      ...(checkpoint === null ? {} : { final_checkpoint_id: checkpoint }),
      memory: receipt.memory,
      containers,
      volumes,
      networks,
      kept_images: [...receipt.keptImages],
    },
  };
}
