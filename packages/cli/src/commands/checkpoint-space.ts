import { type CheckpointUsage, type PrunedCheckpoints, type TaskId, shortId } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { integer, size } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { formatBytes, formatTime, lines, oneLine } from '../render/format.ts';
import { table } from '../render/table.ts';

export const checkpointsUsage: Command<{ readonly checkpoints: readonly CheckpointUsage[] }> = {
  name: 'checkpoints usage',
  summary: 'say what each checkpoint of a task takes on disk, alone and with others',
  notes: [
    'OWN is free again when the checkpoint is deleted; SHARED is needed by other checkpoints, of any task, or by trees that tasks begin with. Images of root file systems are not counted.',
  ],
  parameters: [taskParameter],
  options: [],
  run: async ({ services, task }) => ({ checkpoints: await services.checkpoints.usage(await task()) }),
  render: ({ checkpoints }, style) =>
    checkpoints.length === 0
      ? style.dim('No checkpoints.')
      : table(
          checkpoints,
          [
            { title: 'CHECKPOINT', text: ({ checkpoint }) => shortId(checkpoint.id) },
            { title: 'CREATED', text: ({ checkpoint }) => formatTime(checkpoint.createdAt) },
            { title: 'OWN', align: 'right', text: ({ ownBytes }) => formatBytes(ownBytes) },
            { title: 'SHARED', align: 'right', text: ({ sharedBytes }) => formatBytes(sharedBytes) },
            { title: 'NAME', text: ({ checkpoint }) => oneLine(checkpoint.name, 40) },
          ],
          style,
        ),
};

export const checkpointsPrune: Command<PrunedCheckpoints> = {
  name: 'checkpoints prune',
  summary: 'delete the checkpoints of a task, or of all, that the retention policy lets go',
  notes: [
    'The policy is `checkpoints.maxPerTask`, `keepDays`, `thinAfterDays` and `budget` of the configuration; an option takes the place of one. What is tagged or pinned, and what a task comes back from, stays. A resident process does the same every hour.',
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
  ],
  async run({ input, services, task, call }) {
    const named: TaskId | undefined = input.get('task') === undefined ? undefined : await task();
    const policy = given({
      maxPerTask: input.get<number>('max'),
      keepDays: input.get<number>('keep-days'),
      thinAfterDays: input.get<number>('thin-after-days'),
      budgetBytes: input.get<number>('budget'),
    });
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
