import type { Command, TaskView } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { redactHandles } from '../redact-handles.ts';
import { defineTool } from '../tool.ts';
import { count, taskId } from './fields.ts';

const longestCommand = 200;

export const getTaskStatus = defineTool({
  name: 'get_task_status',
  title: 'Get a task',
  description: 'Show a task: status, sandbox, attached agents, running commands, counts.',
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
    agents: z.array(z.object({ agent: z.string(), model: z.string().optional(), expires_at: z.string().optional() })),
    running: z.array(
      z.object({ execution_id: z.string(), agent: z.string(), command: z.string(), started_at: z.string() }),
    ),
    executions: count,
    checkpoints: count,
    open_todos: count,
    records: count,
    updated_at: z.string(),
  }),
  async run(args, context) {
    const view = await context.home.services.tasks.view(await context.taskId(args.task_id));
    const data = redactHandles(viewData(view));
    return { text: describe(data), data };
  },
});

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
    updated_at: task.updatedAt,
  };
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

function describe(data: ReturnType<typeof viewData>): string {
  const agents = data.agents.map(
    ({ agent, expires_at }) => `${agent}${expires_at ? ` (lease until ${expires_at})` : ''}`,
  );
  return [
    `${data.task_id}: ${data.title}`,
    `Status ${data.status}${data.status_reason ? ` (${data.status_reason})` : ''}, sandbox ${data.sandbox}, workspace ${data.workspace}`,
    `Agents: ${agents.join(', ') || 'none'}`,
    ...data.running.map(({ execution_id, agent, command }) => `Running (${execution_id}, ${agent}): ${command}`),
    `${data.executions} executions, ${data.checkpoints} checkpoints, ${data.open_todos} open todos`,
    ...(data.description === '' ? [] : [`Description: ${data.description.slice(0, 2_000)}`]),
  ].join('\n');
}
