import { type Task, type TaskFilter, shortId, taskStatuses } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { defineTool } from '../tool.ts';

const defaultLimit = 20;

const input = z.strictObject({
  status: z.array(z.enum(taskStatuses)).optional(),
  text: z.string().min(1).max(200).optional().describe('Words in title, description, decisions, todos or notes'),
  agent: z.string().min(1).max(100).optional(),
  label: z.string().min(1).max(200).optional().describe('name or name=value'),
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
    const { items, next } = await context.home.services.tasks.list(toFilter(args), page);
    const more = next === null ? [] : [`More with cursor ${next}`];
    return {
      text: items.length === 0 ? 'No tasks.' : [...items.map(line), ...more].join('\n'),
      data: { tasks: items.map(row), ...(next === null ? {} : { next_cursor: next }) },
    };
  },
});

function toFilter({ status, text, agent, label }: z.output<typeof input>): TaskFilter {
  const [name = '', ...value] = label?.split('=') ?? [];
  return {
    ...(status === undefined ? {} : { status }),
    ...(text === undefined ? {} : { text }),
    ...(agent === undefined ? {} : { agent }),
    ...(label === undefined ? {} : { label: { name, ...(value.length === 0 ? {} : { value: value.join('=') }) } }),
  };
}

function row({ id, title, status, updatedAt }: Task) {
  return { task_id: id, title, status, updated_at: updatedAt };
}

function line({ id, title, status }: Task): string {
  return `${shortId(id)}  ${status.padEnd(9)}  ${title}`;
}
