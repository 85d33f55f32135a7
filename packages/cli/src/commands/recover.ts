import {
  OpencodeToolsError,
  type RecoverableTask,
  type RecoveredTask,
  type TaskId,
  isOpencodeToolsError,
  shortId,
} from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { usageError } from '../arguments/usage-error.ts';
import { text } from '../arguments/values.ts';
import { type Command, type CommandContext, taskParameter } from '../command.ts';
import { formatTime, lines, oneLine, plural } from '../render/format.ts';
import type { Style } from '../render/style.ts';
import { table } from '../render/table.ts';

interface Listed {
  readonly recoverable: readonly RecoverableTask[];
}

export const recover: Command<RecoveredTask | Listed> = {
  name: 'recover',
  summary: 'bring the work of a deleted task back as a new task',
  notes: [
    'Workspace, home directory and root file system are as the newest sound checkpoint has them; decisions, todos and notes come along. The first task is not touched, so a living one can be recovered, too, when its newest checkpoint or its sandbox is damaged.',
  ],
  changes: 'home',
  parameters: [
    { name: 'task', summary: 'full or short id; full id, short id or unique title of a living task', optional: true },
  ],
  options: [
    { name: 'list', summary: 'say what can be brought back, the last deleted first' },
    {
      name: 'checkpoint',
      value: text('checkpoint'),
      summary: 'full id, short id, tag or name (default: the newest sound one)',
    },
    { name: 'title', value: text('title'), summary: 'title of the new task' },
  ],
  run: (context) => (context.input.flag('list') ? listAll(context) : bringBack(context)),
  render: (result, style) =>
    'recoverable' in result ? renderList(result.recoverable, style) : renderOne(result, style),
};

async function listAll({ input, services }: CommandContext): Promise<Listed> {
  if (input.get('task') !== undefined) throw usageError('--list names no task', 'Leave out the task, or --list.');
  return { recoverable: await services.tasks.recoverable() };
}

async function bringBack({ input, services, task, call }: CommandContext): Promise<RecoveredTask> {
  if (input.get('task') === undefined) {
    throw usageError('recover needs a task', 'Name one; `opencode-tools recover --list` says which there are.', {
      argument: taskParameter.name,
    });
  }
  const options = given({ checkpoint: input.get<string>('checkpoint'), title: input.get<string>('title') });
  return services.tasks.recover(await found(task), options, call);
}

/** @throws OpencodeToolsError `OCT_TASK_NOT_FOUND` */
async function found(task: CommandContext['task']): Promise<TaskId> {
  try {
    return await task();
  } catch (error) {
    if (!isOpencodeToolsError(error, 'OCT_TASK_NOT_FOUND')) throw error;
    throw new OpencodeToolsError('OCT_TASK_NOT_FOUND', error.message, {
      remedy: 'A deleted task is named by its id: opencode-tools recover --list',
      cause: error,
    });
  }
}

function renderOne({ task, checkpoint, passedOver, rootLost, ...copied }: RecoveredTask, style: Style): string {
  const journal = [
    plural(copied.decisions, 'decision'),
    plural(copied.todos, 'todo'),
    plural(copied.notes, 'note'),
  ].join(', ');
  return lines(
    `${style.good('recovered')} ${style.strong(shortId(task.id))} ${oneLine(task.title)} from checkpoint ${shortId(checkpoint.id)} of ${formatTime(checkpoint.createdAt)}`,
    `with ${journal}`,
    ...passedOver.map(
      ({ checkpointId, damage }) =>
        `${style.warning('damaged')} checkpoint ${shortId(checkpointId)}: ${oneLine(damage.join('; '), 300)}`,
    ),
    rootLost && `${style.warning('lost')} what was installed into the root file system: its image is gone`,
    style.dim(task.id),
  );
}

function renderList(recoverable: readonly RecoverableTask[], style: Style): string {
  if (recoverable.length === 0) return style.dim('No deleted task has a checkpoint.');
  return table(
    recoverable,
    [
      { title: 'TASK', text: ({ receipt }) => shortId(receipt.taskId) },
      { title: 'DELETED', text: ({ receipt }) => formatTime(receipt.deletedAt) },
      { title: 'CHECKPOINTS', align: 'right', text: ({ checkpoints }) => String(checkpoints.length) },
      { title: 'RECOVERED AS', text: ({ recoveredAs }) => recoveredAs.map(shortId).join(', ') || '-' },
      { title: 'TITLE', text: ({ receipt }) => oneLine(receipt.title, 60) },
    ],
    style,
  );
}
