import {
  type CheckpointUsage,
  type HomeCheckpointUsage,
  type PrunedCheckpoints,
  type TaskId,
  shortId,
} from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { usageError } from '../arguments/usage-error.ts';
import { integer, size } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { formatBytes, formatTime, lines, oneLine } from '../render/format.ts';
import type { Style } from '../render/style.ts';
import { table } from '../render/table.ts';

type Usage =
  | { readonly checkpoints: readonly CheckpointUsage[]; readonly home?: never }
  | { readonly home: HomeCheckpointUsage; readonly checkpoints?: never };

export const checkpointsUsage: Command<Usage> = {
  name: 'checkpoints usage',
  summary: 'say what each checkpoint of a task, or each task, takes on disk, alone and with others',
  notes: [
    'OWN is free again when the checkpoint, or all of the task, are deleted; SHARED is needed by other checkpoints, of any task, or by trees that tasks begin with. Images of root file systems are not counted.',
  ],
  parameters: [{ name: 'task', summary: `${taskParameter.summary} (default: all)`, optional: true }],
  options: [],
  async run({ input, services, task }) {
    if (input.get('task') === undefined) return { home: await services.checkpoints.homeUsage() };
    return { checkpoints: await services.checkpoints.usage(await task()) };
  },
  render: (usage, style) =>
    usage.checkpoints === undefined ? homeTable(usage.home, style) : checkpointsTable(usage.checkpoints, style),
};

function checkpointsTable(checkpoints: readonly CheckpointUsage[], style: Style): string {
  if (checkpoints.length === 0) return style.dim('No checkpoints.');
  return table(
    checkpoints,
    [
      { title: 'CHECKPOINT', text: ({ checkpoint }) => shortId(checkpoint.id) },
      { title: 'CREATED', text: ({ checkpoint }) => formatTime(checkpoint.createdAt) },
      { title: 'OWN', align: 'right', text: ({ ownBytes }) => formatBytes(ownBytes) },
      { title: 'SHARED', align: 'right', text: ({ sharedBytes }) => formatBytes(sharedBytes) },
      { title: 'NAME', text: ({ checkpoint }) => oneLine(checkpoint.name, 40) },
    ],
    style,
  );
}

function homeTable({ tasks, bytes, budgetBytes }: HomeCheckpointUsage, style: Style): string {
  if (tasks.length === 0) return style.dim('No checkpoints.');
  const rows = table(
    tasks,
    [
      { title: 'TASK', text: ({ taskId }) => shortId(taskId) },
      { title: 'CHECKPOINTS', align: 'right', text: ({ checkpoints }) => String(checkpoints) },
      { title: 'OWN', align: 'right', text: ({ ownBytes }) => formatBytes(ownBytes) },
      { title: 'SHARED', align: 'right', text: ({ bytes: all, ownBytes }) => formatBytes(all - ownBytes) },
      { title: 'TITLE', text: ({ title, deleted }) => `${oneLine(title, 40)}${deleted ? ' (deleted)' : ''}` },
    ],
    style,
  );
  const budget = budgetBytes === 0 ? '' : ` of ${formatBytes(budgetBytes)}`;
  return lines(rows, `together ${formatBytes(bytes)}${budget}`);
}

export const checkpointsPrune: Command<PrunedCheckpoints> = {
  name: 'checkpoints prune',
  summary: 'delete the checkpoints of a task, or of all, that the retention policy lets go',
  notes: [
    'The policy is `checkpoints.maxPerTask`, `keepDays`, `thinAfterDays`, `budget` and, for all tasks together, `homeBudget` of the configuration; an option takes the place of one. What is tagged or pinned, what a task comes back from, and what `recover` brings back of a deleted task, stays. A resident process does the same every hour.',
  ],
  changes: 'home',
  parameters: [{ name: 'task', summary: `${taskParameter.summary} (default: all)`, optional: true }],
  options: [
    { name: 'dry-run', summary: 'only say which would go, and by which rule' },
    { name: 'max', value: integer('count', 0, 1_000_000), summary: 'most checkpoints of a task; 0 for any number' },
    {
      name: 'keep-days',
      value: integer('days', 0, 36_500),
      summary: 'days after which a checkpoint goes; 0 for never',
    },
    {
      name: 'thin-after-days',
      value: integer('days', 0, 36_500),
      summary: 'days after which the newest of a day stays; 0 for never',
    },
    { name: 'budget', value: size(), summary: 'bytes that the checkpoints of a task may take' },
    { name: 'home-budget', value: size(), summary: 'bytes that the checkpoints of all tasks may take together' },
  ],
  async run({ input, services, task, call }) {
    const named: TaskId | undefined = input.get('task') === undefined ? undefined : await task();
    const policy = given({
      maxPerTask: input.get<number>('max'),
      keepDays: input.get<number>('keep-days'),
      thinAfterDays: input.get<number>('thin-after-days'),
      budgetBytes: input.get<number>('budget'),
      homeBudgetBytes: input.get<number>('home-budget'),
    });
    if (named !== undefined && policy.homeBudgetBytes !== undefined)
      throw usageError('--home-budget is for all tasks', 'Leave out the task, or give --budget.');
    return services.checkpoints.prune(named, { dryRun: input.flag('dry-run'), policy }, call);
  },
  render({ dryRun, removed, left, collected }, style) {
    const verb = dryRun ? style.warning('would delete') : style.good('deleted');
    return lines(
      removed.length === 0 && style.dim('Nothing to delete.'),
      ...removed.map(
        ({ checkpoint, rule }) =>
          `${verb} ${shortId(checkpoint.id)} ${formatTime(checkpoint.createdAt)} ${oneLine(checkpoint.name)} (${rule})`,
      ),
      ...left.map(({ checkpoint, reason }) => style.dim(`kept ${shortId(checkpoint.id)}: ${oneLine(reason, 200)}`)),
      collected !== null && collected.bytes > 0 && `${formatBytes(collected.bytes)} are free again`,
    );
  },
};
