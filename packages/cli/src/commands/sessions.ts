import {
  type Attachment,
  type AttachOptions,
  type Decision,
  type Note,
  type SessionId,
  type Task,
  type Todo,
  parseId,
  shortId,
} from '@opencode-tools/core';
import { type Input, given } from '../arguments/input.ts';
import { usageError } from '../arguments/usage-error.ts';
import { duration, text } from '../arguments/values.ts';
import type { Command } from '../command.ts';
import { formatTime, lines, oneLine } from '../render/format.ts';
import type { Style } from '../render/style.ts';

interface Resumed extends Attachment {
  /** What the agent before left for this one. */
  readonly briefing: {
    readonly decisions: readonly Decision[];
    readonly todos: readonly Todo[];
    readonly notes: readonly Note[];
  };
}

const dayMs = 86_400_000;

export const resumeTask: Command<Resumed> = {
  name: 'resume-task',
  summary: 'attach to a task and go on where it was left',
  notes: [
    'Prints the session to act under: pass it as --session, or set OPENCODE_TOOLS_SESSION. When the command returns, nothing runs any more on behalf of an earlier holder.',
  ],
  changes: 'home',
  parameters: [{ name: 'task', summary: 'full id, short id or unique title' }],
  options: [
    { name: 'takeover', summary: 'end the sessions that hold the task now, and what runs under them' },
    { name: 'ttl', value: duration(1_000, dayMs), summary: 'life of the lease without a sign of life (default: 15m)' },
    { name: 'write', value: text('glob'), repeatable: true, summary: 'claim at once: what you will change' },
    { name: 'read', value: text('glob'), repeatable: true, summary: 'claim at once: what must not change meanwhile' },
    { name: 'wait', value: duration(0, dayMs), summary: 'how long to wait for the holder to leave (default: 0)' },
  ],
  async run({ input, services, call, task, accountName }) {
    const taskId = await task();
    const options: AttachOptions = {
      agent: input.get<string>('agent') ?? accountName,
      takeover: input.flag('takeover'),
      ...given({
        model: input.get<string>('model'),
        ttlMs: input.get<number>('ttl'),
        waitMs: input.get<number>('wait'),
        claims: claimsOf(input),
      }),
    };
    const attachment = await services.sessions.attach(taskId, options, call);
    const { journal } = services;
    const [decisions, todos, notes] = await Promise.all([
      journal.decisions(taskId),
      journal.todos(taskId),
      journal.notes(taskId),
    ]);
    return { ...attachment, briefing: { decisions, todos, notes } };
  },
  render(resumed, style) {
    const { session, lease, task } = resumed;
    return lines(
      `${style.good('attached')} to ${style.strong(shortId(task.id))} ${oneLine(task.title)}`,
      `session ${style.strong(session.id)} ${style.dim(`(token ${lease.token}, until ${formatTime(lease.expiresAt)})`)}`,
      `export OPENCODE_TOOLS_SESSION=${session.id}`,
      found(resumed, style),
      briefing(resumed.briefing, style),
    );
  },
};

function claimsOf(input: Input): AttachOptions['claims'] {
  const [read, write] = [input.list('read'), input.list('write')];
  return read.length === 0 && write.length === 0 ? undefined : { read, write };
}

export const detach: Command<{ readonly task: Task; readonly sessionId: SessionId }> = {
  name: 'detach',
  summary: 'end a session; the last one to go suspends its task',
  changes: 'task',
  parameters: [{ name: 'id', summary: 'session to end (default: the one to act under)', optional: true }],
  options: [{ name: 'reason', value: text('text'), summary: 'why, for the record' }],
  async run({ input, services, call, session }) {
    const named = input.get<string>('id');
    const sessionId = named === undefined ? session.sessionId : parseId('session', named);
    if (sessionId === undefined) {
      throw usageError(
        'No session to end was named',
        'Name it, pass --session, or set OPENCODE_TOOLS_SESSION; `opencode-tools resume-task` prints it.',
        { argument: 'id' },
      );
    }
    return {
      task: await services.sessions.detach(sessionId, given({ reason: input.get<string>('reason') }), call),
      sessionId,
    };
  },
  render({ task }, style) {
    return `${style.good('detached')} from ${style.strong(shortId(task.id))} ${oneLine(task.title)}, now ${task.status}`;
  },
};

function found({ displaced, recovered, endedProcesses }: Attachment, style: Style): string {
  return lines(
    ...displaced.map((session) => `${style.warning('ended')} session of ${oneLine(session.agent)}`),
    ...recovered.map(
      ({ kind, resolution, summary }) => `${style.warning(resolution)} ${kind}: ${oneLine(summary, 200)}`,
    ),
    endedProcesses > 0 &&
      `${style.warning('ended')} ${endedProcesses} ${endedProcesses === 1 ? 'process' : 'processes'} of earlier holders`,
  );
}

function briefing({ decisions, todos, notes }: Resumed['briefing'], style: Style): string {
  const left = todos.filter(({ state }) => state === 'open' || state === 'active');
  return lines(
    decisions.length > 0 && `\n${style.strong('Decisions')}`,
    ...decisions.map(
      ({ what, why }) => `  - ${oneLine(what, 200)}${why === '' ? '' : style.dim(` (${oneLine(why, 200)})`)}`,
    ),
    left.length > 0 && `\n${style.strong('Todos')}`,
    ...left.map(
      ({ id, state, text: words }) =>
        `  - ${shortId(id)} ${state === 'active' ? style.good('active') : 'open'} ${oneLine(words, 200)}`,
    ),
    notes.length > 0 && `\n${style.strong('Notes')}`,
    ...notes.map((note) => `  - ${oneLine(note.text, 200)}`),
  );
}
