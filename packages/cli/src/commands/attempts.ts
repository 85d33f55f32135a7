import { type AttemptCheck, type KeptAttempt, type Task, shortId } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { usageError } from '../arguments/usage-error.ts';
import { duration, integer, text } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { formatBytes, formatDuration, lines, oneLine } from '../render/format.ts';
import { table } from '../render/table.ts';

export const attemptsStart: Command<{ readonly attempts: readonly Task[] }> = {
  name: 'attempts start',
  summary: 'make several forks of a task that begin at the same checkpoint',
  changes: 'home',
  parameters: [taskParameter],
  options: [
    { name: 'count', value: integer('count', 1, 50), summary: 'how many (default: 2)' },
    { name: 'checkpoint', value: text('checkpoint'), summary: 'full id, short id, tag or name (default: the newest)' },
    { name: 'title', value: text('title'), summary: 'titles are this and a number (default: the title of the task)' },
  ],
  async run({ input, services, task, call }) {
    const options = {
      count: input.get<number>('count') ?? 2,
      ...given({ checkpoint: input.get<string>('checkpoint'), title: input.get<string>('title') }),
    };
    return { attempts: await services.attempts.start(await task(), options, call) };
  },
  render: ({ attempts }, style) =>
    lines(...attempts.map(({ id, title }) => `${style.good('forked')} ${style.strong(shortId(id))} ${oneLine(title)}`)),
};

export const attemptsCheck: Command<{ readonly attempts: readonly AttemptCheck[] }> = {
  name: 'attempts check',
  summary: 'run one command in every attempt of a task and compare exit code, time and size of the change; best first',
  notes: ['Each is saved first; what the command itself changes is not counted. Exit code 1 when none passed.'],
  changes: 'home',
  parameters: [
    taskParameter,
    { name: 'command', summary: 'the command and its arguments, after --', optional: true, variadic: true },
  ],
  options: [
    { name: 'script', value: text('text'), summary: 'run this by `sh -c` instead' },
    { name: 'timeout', value: duration(1, 86_400_000), summary: 'end the command after this time (default: 10m)' },
  ],
  async run({ input, services, task, call }) {
    const argv = input.list('command');
    const script = input.get<string>('script');
    if ((argv.length === 0) === (script === undefined)) {
      throw usageError('One command is needed', 'Give it after --, or by --script.', { argument: 'command' });
    }
    const command = script === undefined ? ({ kind: 'argv', argv } as const) : ({ kind: 'script', script } as const);
    const options = { command, ...given({ timeoutMs: input.get<number>('timeout') }) };
    return { attempts: await services.attempts.check(await task(), options, call) };
  },
  exitCode: ({ attempts }) => (attempts.some(({ execution }) => execution?.exitCode === 0) ? 0 : 1),
  render: ({ attempts }, style) =>
    table(
      attempts,
      [
        { title: 'ATTEMPT', text: ({ task }) => shortId(task.id) },
        { title: 'EXIT', text: exitOf, paint: ({ execution }) => (execution?.exitCode === 0 ? style.good : style.bad) },
        { title: 'TIME', align: 'right', text: ({ execution }) => formatDuration(execution?.durationMs ?? null) },
        { title: 'CHANGED', align: 'right', text: changedOf },
        { title: 'SIZE', align: 'right', text: ({ changes }) => (changes === null ? '-' : formatBytes(changes.bytes)) },
        { title: 'TITLE', text: ({ task }) => oneLine(task.title, 40) },
        { title: 'WHY', text: ({ failure }) => oneLine(failure?.message ?? '', 500) },
      ],
      style,
    ),
};

export const attemptsKeep: Command<KeptAttempt> = {
  name: 'attempts keep',
  summary:
    'keep one attempt of a task as a checkpoint of the task, and delete the others after a last checkpoint of each',
  notes: [
    'Bring it into the task with `restore-checkpoint`; the kept one goes on as a task. Forks that `fork` made are left alone. What the others were stays in their ledgers, and `fork` brings each back from its last checkpoint.',
  ],
  changes: 'home',
  parameters: [taskParameter, { name: 'attempt', summary: 'full id, short id or title of the fork' }],
  options: [{ name: 'dry-run', summary: 'say which would be deleted' }],
  run: async ({ input, services, task, call }) =>
    services.attempts.keep(await task(), input.text('attempt'), { dryRun: input.flag('dry-run') }, call),
  render: ({ dryRun, kept, checkpoint, archived }, style) =>
    lines(
      `${dryRun ? style.warning('would keep') : style.good('kept')} ${shortId(kept.id)} ${oneLine(kept.title)}`,
      checkpoint !== null && `as checkpoint ${checkpoint.id} of the task`,
      ...archived.map(({ task, receipt }) => {
        const last = receipt?.finalCheckpointId;
        const where = last == null ? '' : `; its last checkpoint is ${last}`;
        return `${dryRun ? 'would delete' : 'deleted'} ${shortId(task.id)} ${oneLine(task.title)}${where}`;
      }),
    ),
};

function exitOf({ execution }: AttemptCheck): string {
  if (execution === null) return '-';
  return execution.exitCode === null ? (execution.reason ?? execution.state) : String(execution.exitCode);
}

function changedOf({ changes }: AttemptCheck): string {
  return changes === null ? '-' : `+${changes.added} ~${changes.modified} -${changes.deleted}`;
}
