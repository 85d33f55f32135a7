import {
  type CreateTask,
  type Task,
  asOpencodeToolsError,
  OpencodeToolsError,
  dirtyPolicies,
  conflictStrategies,
  leaseModes,
  workspaceNotices,
} from '@opencode-tools/core';
import * as z from 'zod/v4';
import { misplaced } from '../misplaced.ts';
import { type ToolContext, defineTool } from '../tool.ts';
import { agentName, idempotencyKey } from './fields.ts';

const input = z.strictObject({
  title: z.string().min(1).max(200),
  description: z.string().max(20_000).optional(),
  source: z.string().min(1).max(4_096).optional().describe('Absolute host path'),
  source_kind: z
    .enum(['git', 'directory', 'bind'])
    .optional()
    .describe('git (default), directory: copied; bind: shared with the host'),
  git_ref: z.string().min(1).max(255).optional(),
  dirty: z.enum(dirtyPolicies).optional().describe('Uncommitted changes'),
  agent: agentName.optional().describe('Your name; attaches you'),
  model: z.string().min(1).max(200).optional(),
  image: z.string().min(1).max(255).optional(),
  memory_mb: z.int().min(32).optional(),
  cpus: z.number().min(0.1).optional(),
  egress: z.array(z.string().min(1).max(64)).max(20).optional().describe('Policies such as npm, pip, github'),
  caches: z.array(z.string().min(1).max(64)).max(20).optional(),
  lease_mode: z.enum(leaseModes).optional(),
  max_agents: z.int().min(1).max(100).optional(),
  conflict_strategy: z.enum(conflictStrategies).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  idempotency_key: idempotencyKey,
});

type Arguments = z.output<typeof input>;

export const createTaskSandbox = defineTool({
  name: 'create_task_sandbox',
  title: 'Create a task with its own sandbox',
  description: 'Create a task with its sandbox; both last until delete_task.',
  input,
  output: z.object({
    task_id: z.string(),
    title: z.string(),
    status: z.string(),
    workspace: z.string(),
    session_id: z.string().optional(),
    expires_at: z.string().optional(),
  }),
  async run(args, context) {
    const call = await context.call(args, args.idempotency_key);
    const task = await context.home.services.tasks.create(toCreateTask(args, context), call);
    const attachment = args.agent === undefined ? undefined : await attach(task, args, context);
    const { session, lease } = attachment ?? {};
    const shown = attachment?.task ?? task;
    return {
      text: [
        `Task ${task.id} created: ${task.title}`,
        ...(session === undefined ? [] : [`Attached as ${session.agent}. session_id: ${session.id}`]),
        `Workspace in the sandbox: ${task.workspace.path}`,
        ...workspaceNotices(task.workspace),
      ].join('\n'),
      data: {
        task_id: task.id,
        title: task.title,
        status: shown.status,
        workspace: task.workspace.path,
        ...(session === undefined ? {} : { session_id: session.id }),
        ...(lease === undefined ? {} : { expires_at: lease.expiresAt }),
      },
    };
  },
});

async function attach(task: Task, args: Arguments, context: ToolContext) {
  const key = args.idempotency_key === undefined ? undefined : `${args.idempotency_key}/attach`;
  const call = await context.call(args, key);
  const who = { agent: args.agent ?? '', ...(args.model === undefined ? {} : { model: args.model }) };
  try {
    const attachment = await context.home.services.sessions.attach(task.id, who, call);
    context.keepAlive(attachment.session.id, attachment.lease.ttlMs, call.actor);
    return attachment;
  } catch (error) {
    const { code, message, remedy, details } = asOpencodeToolsError(error);
    throw new OpencodeToolsError(code, `Task ${task.id} was created, but attaching to it failed. ${message}`, {
      remedy,
      details: { ...details, taskId: task.id },
      cause: error,
    });
  }
}

function toCreateTask(args: Arguments, { home }: ToolContext): CreateTask {
  const limits = {
    ...(args.memory_mb === undefined ? {} : { memoryBytes: args.memory_mb * 1024 ** 2 }),
    ...(args.cpus === undefined ? {} : { cpus: args.cpus }),
  };
  return {
    title: args.title,
    ...(args.description === undefined ? {} : { description: args.description }),
    ...(args.image === undefined ? {} : { image: args.image }),
    workspace: toWorkspace(args),
    limits,
    ...(args.egress === undefined ? {} : { network: home.services.egress.named(args.egress) }),
    ...(args.caches === undefined ? {} : { caches: args.caches }),
    ...(args.lease_mode === undefined ? {} : { leaseMode: args.lease_mode }),
    ...(args.max_agents === undefined ? {} : { maxAgents: args.max_agents }),
    ...(args.conflict_strategy === undefined ? {} : { conflictStrategy: args.conflict_strategy }),
    ...(args.labels === undefined ? {} : { labels: args.labels }),
    ...(args.agent === undefined ? {} : { agent: args.agent }),
    ...(args.model === undefined ? {} : { model: args.model }),
  };
}

function toWorkspace(args: Arguments): NonNullable<CreateTask['workspace']> {
  const { source: path, source_kind: kind = 'git', git_ref: ref, dirty } = args;
  if (path === undefined) {
    const extra = (['source_kind', 'git_ref', 'dirty'] as const).find((name) => args[name] !== undefined);
    if (extra === undefined) return { kind: 'empty' };
    throw misplaced(extra, 'Name source as well.');
  }
  if (kind === 'git')
    return { kind, path, ...(ref === undefined ? {} : { ref }), ...(dirty === undefined ? {} : { dirty }) };
  if (ref !== undefined || dirty !== undefined) {
    throw misplaced(ref === undefined ? 'dirty' : 'git_ref', 'It goes with source_kind git only.');
  }
  return { kind, path };
}
