import { type Task, type TaskFilter, shortId, taskStatuses } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { type ToolContext, defineTool } from '../tool.ts';
import { unlisted } from './fields.ts';

const defaultLimit = 20;

const time = z
  .union([z.iso.date(), z.iso.datetime({ offset: true })])
  .transform((text) => new Date(text).toISOString());

const input = z.strictObject({
  status: z.array(z.enum(taskStatuses)).optional(),
  text: z.string().min(1).max(200).optional().describe('In any text of it'),
  agent: z.string().min(1).max(100).optional(),
  label: z.string().min(1).max(200).optional().describe('name or name=value'),
  parent: z.string().min(1).max(200).optional().meta(unlisted),
  owner: z.string().min(1).max(200).optional().meta(unlisted),
  project: z.string().min(1).max(200).optional(),
  created_after: time.optional().meta(unlisted),
  created_before: time.optional().meta(unlisted),
  limit: z.int().min(1).max(100).optional(),
  cursor: z.string().min(1).max(1_000).optional(),
});

export const listTasks = defineTool({
  name: 'list_tasks',
  title: 'List tasks',
  description: 'List tasks, newest first.',
  annotations: { readOnlyHint: true, idempotentHint: true },
  input,
  output: z.object({
    tasks: z.array(z.object({ task_id: z.string(), title: z.string(), status: z.string(), updated_at: z.string() })),
    next_cursor: z.string().optional(),
  }),
  async run(args, context) {
    const page = { limit: args.limit ?? defaultLimit, ...(args.cursor === undefined ? {} : { cursor: args.cursor }) };
    const { items, next } = await context.home.services.tasks.list(await toFilter(args, context), page);
    const more = next === null ? [] : [`More with cursor ${next}`];
    return {
      text: items.length === 0 ? 'No tasks.' : [...items.map(line), ...more].join('\n'),
      data: { tasks: items.map(row), ...(next === null ? {} : { next_cursor: next }) },
    };
  },
});

async function toFilter(args: z.output<typeof input>, context: ToolContext): Promise<TaskFilter> {
  const { status, text, agent, label, parent, owner, project } = args;
  const [name = '', ...value] = label?.split('=') ?? [];
  return {
    ...(status === undefined ? {} : { status }),
    ...(text === undefined ? {} : { text }),
    ...(agent === undefined ? {} : { agent }),
    ...(label === undefined ? {} : { label: { name, ...(value.length === 0 ? {} : { value: value.join('=') }) } }),
    ...(parent === undefined ? {} : { parentId: await context.taskId(parent) }),
    ...(owner === undefined ? {} : { owner }),
    ...(project === undefined ? {} : { project }),
    ...(args.created_after === undefined ? {} : { createdAfter: args.created_after }),
    ...(args.created_before === undefined ? {} : { createdBefore: args.created_before }),
  };
}

function row({ id, title, status, updatedAt }: Task) {
  return { task_id: id, title, status, updated_at: updatedAt };
}

function line({ id, title, status }: Task): string {
  return `${shortId(id)}  ${status.padEnd(9)}  ${title}`;
}
