import type { Command, LimitRequest, LiveLimits, NetworkSpec, TaskId, TaskView } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { redactHandles } from '../redact-handles.ts';
import { type ToolContext, defineTool } from '../tool.ts';
import { claimData, claimOutput } from './claim-paths.ts';
import { todoData, todoOutput } from './set-todo.ts';
import { count, taskId } from './fields.ts';

const longestCommand = 200;
const mostShown = 50;

export const getTaskStatus = defineTool({
  name: 'get_task_status',
  title: 'Get a task',
  description: 'Show status, sandbox, agents, running commands.',
  annotations: { readOnlyHint: true, idempotentHint: true },
  input: z.strictObject({ task_id: taskId }),
  output: z.object({
    task_id: z.string(),
    title: z.string(),
    description: z.string(),
    status: z.string(),
    status_reason: z.string().optional(),
    workspace: z.string(),
    image: z.string(),
    sandbox: z.string(),
    network: z.string(),
    sandbox_held: z.string().optional(),
    limits: z.object({ memory_mb: z.number(), cpus: z.number(), pids: z.number() }),
    limits_requested: z.string().optional(),
    agents: z.array(z.object({ agent: z.string(), model: z.string().optional(), expires_at: z.string().optional() })),
    running: z.array(
      z.object({ execution_id: z.string(), agent: z.string(), command: z.string(), started_at: z.string() }),
    ),
    executions: count,
    checkpoints: count,
    open_todos: count,
    records: count,
    version: count,
    lease_mode: z.string(),
    conflict_strategy: z.string(),
    labels: z.record(z.string(), z.string()),
    owner: z.string().optional(),
    project: z.string().optional(),
    parent_id: z.string().optional(),
    depends_on: z.array(z.string()),
    claims: z.array(claimOutput),
    todos: z.array(todoOutput),
    notes: z.array(z.object({ note_id: z.string(), agent: z.string(), text: z.string(), version: count })),
    updated_at: z.string(),
  }),
  async run(args, context) {
    const id = await context.taskId(args.task_id);
    const [view, shared] = await Promise.all([context.home.services.tasks.view(id), sharedData(id, context)]);
    const data = redactHandles({ ...viewData(view), ...shared });
    return { text: describe(data), data };
  },
});

/** What agents of a task change together: claims, todos that are not done, and the newest notes, each with its version. */
async function sharedData(id: TaskId, { home }: ToolContext) {
  const { journal, sessions } = home.services;
  const [claims, todos, notes] = await Promise.all([sessions.claims(id), journal.todos(id), journal.notes(id)]);
  return {
    claims: claims.slice(0, mostShown).map(claimData),
    todos: todos
      .filter(({ state }) => state === 'open' || state === 'active')
      .slice(0, mostShown)
      .map(todoData),
    notes: notes
      .slice(-mostShown)
      .map(({ id: noteId, agent, text, version }) => ({ note_id: noteId, agent, text: text.slice(0, 2_000), version })),
  };
}

function viewData(view: TaskView) {
  const { task, sandbox, live } = view;
  return {
    task_id: task.id,
    title: task.title,
    description: task.description,
    status: task.status,
    ...(task.statusReason === null ? {} : { status_reason: task.statusReason }),
    workspace: task.workspace.path,
    image: task.sandboxSpec.image,
    sandbox: live?.state ?? sandbox?.state ?? 'absent',
    network: networkText(task.sandboxSpec.network),
    ...(sandbox?.hold == null ? {} : { sandbox_held: sandbox.hold }),
    limits: limitsOf(task.sandboxSpec.limits),
    ...(task.limitRequest == null ? {} : { limits_requested: requestText(task.limitRequest) }),
    agents: agentsOf(view),
    running: view.runningExecutions.map(({ id, agent, command, startedAt }) => ({
      execution_id: id,
      agent,
      command: commandText(command),
      started_at: startedAt,
    })),
    executions: view.executions,
    checkpoints: view.checkpoints,
    open_todos: view.openTodos,
    records: view.ledger.seq,
    version: task.version,
    lease_mode: task.leaseMode,
    conflict_strategy: task.conflictStrategy,
    labels: { ...task.labels },
    ...(task.owner === null ? {} : { owner: task.owner }),
    ...(task.project === null ? {} : { project: task.project }),
    ...(task.parentId === null ? {} : { parent_id: task.parentId }),
    depends_on: [...task.dependsOn],
    updated_at: task.updatedAt,
  };
}

function networkText({ mode, rules }: NetworkSpec): string {
  if (mode !== 'policy') return 'none';
  const hosts = [...new Set(rules.map(({ host }) => host))];
  return hosts.length === 0 ? 'policy without rules' : hosts.join(', ').slice(0, 2_000);
}

function limitsOf({ memoryBytes, cpus, pids }: LiveLimits) {
  return { memory_mb: Math.round(memoryBytes / 1024 ** 2), cpus, pids };
}

function requestText({ limits, reason, requestedBy }: LimitRequest): string {
  const { memory_mb: memory, cpus, pids } = limitsOf(limits);
  return `${memory} MiB, ${cpus} cores, ${pids} processes, by ${requestedBy}: ${reason}`.slice(0, 500);
}

function agentsOf({ sessions, leases }: TaskView) {
  return sessions
    .filter(({ state }) => state === 'attached')
    .map(({ id, agent, model }) => {
      const lease = leases.find(({ sessionId }) => sessionId === id);
      return {
        agent,
        ...(model === null ? {} : { model }),
        ...(lease === undefined ? {} : { expires_at: lease.expiresAt }),
      };
    });
}

function commandText(command: Command): string {
  const text = command.kind === 'script' ? command.script : command.argv.join(' ');
  return text.length > longestCommand ? `${text.slice(0, longestCommand)}…` : text;
}

type StatusData = ReturnType<typeof viewData> & Awaited<ReturnType<typeof sharedData>>;

function describe(data: StatusData): string {
  const agents = data.agents.map(
    ({ agent, expires_at }) => `${agent}${expires_at ? ` (lease until ${expires_at})` : ''}`,
  );
  return [
    `${data.task_id}: ${data.title}`,
    `Status ${data.status}${data.status_reason ? ` (${data.status_reason})` : ''}, sandbox ${data.sandbox}, workspace ${data.workspace}, network: ${data.network}`,
    ...(data.sandbox_held === undefined ? [] : [`The sandbox is held: ${data.sandbox_held}`]),
    ...(data.limits_requested === undefined ? [] : [`Limits asked for: ${data.limits_requested}`]),
    `Agents: ${agents.join(', ') || 'none'}`,
    ...data.running.map(({ execution_id, agent, command }) => `Running (${execution_id}, ${agent}): ${command}`),
    `${data.executions} executions, ${data.checkpoints} checkpoints, ${data.open_todos} open todos`,
    ...data.claims.map(
      ({ agent, write, read }) => `Claim of ${agent}: write ${write.join(' ')}; read ${read.join(' ')}`,
    ),
    ...data.todos.map(({ todo_id, state, text, version }) => `Todo ${todo_id} (${state}, version ${version}): ${text}`),
    ...data.notes.map(({ note_id, version, text }) => `Note ${note_id} (version ${version}): ${text.slice(0, 200)}`),
    ...(data.description === '' ? [] : [`Description: ${data.description.slice(0, 2_000)}`]),
  ].join('\n');
}
