import type { Attachment, Decision, JournalService, TaskId, Todo } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { defineTool } from '../tool.ts';
import { overlapOutput, overlapText, overlapsOf } from './claim-paths.ts';
import { agentName, count, globs, taskId, unlisted, unlistedKey } from './fields.ts';

const mostShown = 10;

export const attachAgentToTask = defineTool({
  name: 'attach_agent_to_task',
  title: 'Attach to a task',
  description: 'Resume a task. Gives your session_id.',
  annotations: { destructiveHint: true },
  input: z.strictObject({
    task_id: taskId,
    agent: agentName,
    model: z.string().min(1).max(200).optional(),
    takeover: z.boolean().optional().describe("End the holder's session"),
    ttl_seconds: z.number().min(1).max(86_400).optional().meta(unlisted),
    wait_seconds: z.number().min(0).max(3_600).optional().describe('For the holder to leave'),
    write: globs.optional().describe('Globs you will change'),
    read: globs.optional(),
    idempotency_key: unlistedKey,
  }),
  output: z.object({
    session_id: z.string(),
    task_id: z.string(),
    title: z.string(),
    description: z.string(),
    status: z.string(),
    workspace: z.string(),
    expires_at: z.string(),
    displaced: z.array(z.string()),
    recovered: z.array(z.string()),
    ended_processes: count,
    claim_id: z.string().optional(),
    claim_overlaps: z.array(overlapOutput).optional(),
    open_todos: z.array(z.string()),
    decisions: z.array(z.string()),
  }),
  async run(args, context) {
    const id = await context.taskId(args.task_id);
    const call = await context.call(args, args.idempotency_key);
    const options = {
      agent: args.agent,
      ...(args.model === undefined ? {} : { model: args.model }),
      ...(args.takeover === undefined ? {} : { takeover: args.takeover }),
      ...(args.ttl_seconds === undefined ? {} : { ttlMs: Math.round(args.ttl_seconds * 1_000) }),
      ...(args.wait_seconds === undefined ? {} : { waitMs: Math.round(args.wait_seconds * 1_000) }),
      ...(args.write === undefined && args.read === undefined
        ? {}
        : { claims: { write: args.write ?? [], read: args.read ?? [] } }),
    };
    const attachment = await context.home.services.sessions.attach(id, options, call);
    context.keepAlive(attachment.session.id, attachment.lease.ttlMs, call.actor);
    const data = { ...attachmentData(attachment), ...(await readJournal(context.home.services.journal, id)) };
    return { text: briefing(data), data };
  },
});

function attachmentData({ session, lease, task, displaced, recovered, endedProcesses, claim }: Attachment) {
  return {
    session_id: session.id,
    task_id: task.id,
    title: task.title,
    description: task.description,
    status: task.status,
    workspace: task.workspace.path,
    expires_at: lease.expiresAt,
    displaced: displaced.map(({ agent }) => agent),
    recovered: recovered.map(({ kind, resolution, summary }) => `${kind} ${resolution}: ${summary}`),
    ended_processes: endedProcesses,
    ...(claim === undefined ? {} : { claim_id: claim.claim.id, claim_overlaps: overlapsOf(claim) }),
  };
}

async function readJournal(journal: JournalService, id: TaskId) {
  const [todos, decisions] = await Promise.all([journal.todos(id), journal.decisions(id)]);
  return { open_todos: openTodos(todos), decisions: newest(decisions) };
}

function openTodos(todos: readonly Todo[]): string[] {
  return todos
    .filter(({ state }) => state === 'open' || state === 'active')
    .map(({ text }) => text)
    .slice(0, mostShown);
}

function newest(decisions: readonly Decision[]): string[] {
  return decisions
    .toSorted((first, second) => (first.createdAt < second.createdAt ? 1 : -1))
    .slice(0, mostShown)
    .map(({ what, why }) => (why === '' ? what : `${what} (${why.slice(0, 200)})`));
}

interface Briefing extends ReturnType<typeof attachmentData> {
  readonly open_todos: readonly string[];
  readonly decisions: readonly string[];
}

function briefing(data: Briefing): string {
  return [
    `Attached to ${data.task_id}: ${data.title}`,
    `session_id: ${data.session_id}`,
    `Workspace in the sandbox: ${data.workspace}`,
    ...(data.description === '' ? [] : [`Description: ${data.description.slice(0, 2_000)}`]),
    ...listed('Sessions ended by this', data.displaced),
    ...(data.ended_processes === 0 ? [] : [`Processes ended: ${data.ended_processes}`]),
    ...listed('Overlaps with your claim', (data.claim_overlaps ?? []).map(overlapText)),
    ...listed('Interrupted before', data.recovered),
    ...listed('Open todos', data.open_todos),
    ...listed('Latest decisions', data.decisions),
  ].join('\n');
}

function listed(heading: string, items: readonly string[]): readonly string[] {
  return items.length === 0 ? [] : [`${heading}:`, ...items.map((item) => `- ${item}`)];
}
