import type { Checkpoint } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { checkpointLine } from '../text/checkpoint-line.ts';
import { defineTool } from '../tool.ts';
import { count, taskId } from './fields.ts';

const mostListed = 200;

export const listTaskCheckpoints = defineTool({
  name: 'list_task_checkpoints',
  title: 'List checkpoints of a task',
  description: 'List checkpoints.',
  annotations: { readOnlyHint: true, idempotentHint: true },
  input: z.strictObject({ task_id: taskId }),
  output: z.object({
    checkpoints: z.array(
      z.object({
        checkpoint_id: z.string(),
        parent_id: z.string().optional(),
        name: z.string(),
        reason: z.string(),
        agent: z.string(),
        created_at: z.string(),
        tags: z.array(z.string()),
        pinned: z.boolean(),
        workspace_entries: count,
        workspace_bytes: count,
        root_changed_paths: count,
      }),
    ),
    total: count,
  }),
  async run({ task_id }, context) {
    const id = await context.taskId(task_id);
    const all = await context.home.services.checkpoints.list(id);
    const shown = all.slice(0, mostListed);
    const more = all.length > shown.length ? [`and ${all.length - shown.length} older ones`] : [];
    return {
      text: all.length === 0 ? 'No checkpoints.' : [...shown.map(checkpointLine), ...more].join('\n'),
      data: { checkpoints: shown.map(describe), total: all.length },
    };
  },
});

function describe({ id, parentId, name, reason, agent, createdAt, tags, pinned, workspace, root }: Checkpoint) {
  return {
    checkpoint_id: id,
    ...(parentId === null ? {} : { parent_id: parentId }),
    name,
    reason,
    agent,
    created_at: createdAt,
    tags: [...tags],
    pinned,
    workspace_entries: workspace?.entries ?? 0,
    workspace_bytes: workspace?.bytes ?? 0,
    root_changed_paths: root?.changedPaths ?? 0,
  };
}
