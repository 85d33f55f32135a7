import { type TaskId, type UpdateTask, shortId } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { type ToolContext, defineTool } from '../tool.ts';
import { count, expectedVersion, optionalSessionId, taskId, unlisted, unlistedKey } from './fields.ts';

const input = z.strictObject({
  task_id: taskId,
  session_id: optionalSessionId,
  title: z.string().min(1).max(200).optional(),
  description: z.string().max(20_000).optional(),
  labels: z.record(z.string(), z.string().nullable()).optional(),
  owner: z.string().max(200).optional().meta(unlisted).describe('Empty: none'),
  project: z.string().max(200).optional(),
  parent: z.string().max(200).optional(),
  depends_on: z.array(taskId).max(200).optional().meta(unlisted).describe('Replaces the list'),
  expected_version: expectedVersion,
  idempotency_key: unlistedKey,
});

type Arguments = z.output<typeof input>;

export const updateTask = defineTool({
  name: 'update_task',
  title: 'Change a task',
  description: 'Change a task; what is omitted stays.',
  input,
  output: z.object({ task_id: z.string(), title: z.string(), status: z.string(), version: count }),
  async run(args, context) {
    const id = await context.taskId(args.task_id, args.idempotency_key);
    const call = await context.call({ sessionId: args.session_id }, args.idempotency_key);
    const task = await context.home.services.tasks.update(id, await changeOf(args, context), call);
    return {
      text: `Task ${shortId(task.id)} is at version ${task.version}.`,
      data: { task_id: task.id, title: task.title, status: task.status, version: task.version },
    };
  },
});

async function changeOf(args: Arguments, context: ToolContext): Promise<UpdateTask> {
  const { title, description, depends_on: dependsOn, expected_version: version } = args;
  return {
    ...(args.session_id === undefined ? {} : { sessionId: args.session_id }),
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    ...labelsOf(args.labels ?? {}),
    ...(args.owner === undefined ? {} : { owner: orNull(args.owner) }),
    ...(args.project === undefined ? {} : { project: orNull(args.project) }),
    ...(args.parent === undefined ? {} : { parentId: await parentOf(args.parent, context) }),
    ...(dependsOn === undefined ? {} : { dependsOn: await Promise.all(dependsOn.map((each) => context.taskId(each))) }),
    ...(version === undefined ? {} : { expectedVersion: version }),
  };
}

function labelsOf(labels: Readonly<Record<string, string | null>>): Pick<UpdateTask, 'setLabels' | 'removeLabels'> {
  const set = Object.entries(labels).filter((label): label is [string, string] => label[1] !== null);
  const removeLabels = Object.keys(labels).filter((name) => labels[name] === null);
  return {
    ...(set.length === 0 ? {} : { setLabels: Object.fromEntries(set) }),
    ...(removeLabels.length === 0 ? {} : { removeLabels }),
  };
}

async function parentOf(reference: string, context: ToolContext): Promise<TaskId | null> {
  return reference.trim() === '' ? null : context.taskId(reference);
}

function orNull(text: string): string | null {
  return text.trim() === '' ? null : text;
}
