import { type Checkpoint, type Restoration, shortId } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { usageError } from '../arguments/usage-error.ts';
import { text } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { formatBytes, formatTime, lines, oneLine } from '../render/format.ts';
import type { Style } from '../render/style.ts';
import { table } from '../render/table.ts';

type Checkpoints =
  | { readonly checkpoint: Checkpoint; readonly checkpoints?: never }
  | { readonly checkpoints: readonly Checkpoint[]; readonly checkpoint?: never };

export const checkpoint: Command<Checkpoints> = {
  name: 'checkpoint',
  summary: 'save workspace, home directory and root file system of a task as one point to come back to',
  changes: 'task',
  parameters: [taskParameter],
  options: [
    { name: 'list', summary: 'list the checkpoints instead' },
    { name: 'name', value: text('name'), summary: '1 to 100 characters' },
    { name: 'reason', value: text('text'), summary: 'why, for the record' },
  ],
  async run({ input, services, call, session, task }) {
    const options = given({ name: input.get<string>('name'), reason: input.get<string>('reason') });
    if (!input.flag('list')) {
      return { checkpoint: await services.checkpoints.create(await task(), { ...session, ...options }, call) };
    }
    if (Object.keys(options).length > 0) {
      throw usageError('--list cannot be combined with --name or --reason', 'Leave --list out to make a checkpoint.');
    }
    return { checkpoints: await services.checkpoints.list(await task()) };
  },
  render(result, style) {
    if (result.checkpoints !== undefined) return renderList(result.checkpoints, style);
    return lines(
      `${style.good('saved')} ${style.strong(shortId(result.checkpoint.id))} ${oneLine(result.checkpoint.name)}`,
      style.dim(result.checkpoint.id),
      contentOf(result.checkpoint),
    );
  },
};

type Restored = Omit<Restoration, 'saved'> & { readonly dryRun: boolean; readonly saved: Checkpoint | null };

export const restoreCheckpoint: Command<Restored> = {
  name: 'restore-checkpoint',
  summary: 'save the present of a task, then bring a checkpoint back',
  notes: ['Ends what runs in the task.'],
  changes: 'task',
  parameters: [taskParameter, { name: 'checkpoint', summary: 'full id, short id or name' }],
  options: [
    { name: 'dry-run', summary: 'say which checkpoint would be brought back and how many executions would end' },
  ],
  async run({ input, services, call, session, task }) {
    const taskId = await task();
    const reference = input.text('checkpoint');
    if (!input.flag('dry-run')) {
      return { dryRun: false, ...(await services.checkpoints.restore(taskId, reference, session, call)) };
    }
    const found = await services.checkpoints.get(taskId, reference);
    const { runningExecutions } = await services.tasks.view(taskId);
    return { dryRun: true, checkpoint: found, saved: null, endedProcesses: runningExecutions.length };
  },
  render({ dryRun, checkpoint: point, saved, endedProcesses }, style) {
    return lines(
      `${dryRun ? style.warning('would restore') : style.good('restored')} ${style.strong(shortId(point.id))} ${oneLine(point.name)}`,
      saved !== null && `what was there before is checkpoint ${saved.id}`,
      endedProcesses > 0 && `${dryRun ? 'running executions that would end' : 'processes ended'}: ${endedProcesses}`,
    );
  },
};

function renderList(checkpoints: readonly Checkpoint[], style: Style): string {
  if (checkpoints.length === 0) return style.dim('No checkpoints.');
  return table(
    checkpoints,
    [
      { title: 'CHECKPOINT', text: ({ id }) => shortId(id) },
      { title: 'CREATED', text: ({ createdAt }) => formatTime(createdAt) },
      {
        title: 'FILES',
        align: 'right',
        text: ({ workspace }) => (workspace === null ? '-' : String(workspace.entries)),
      },
      {
        title: 'SIZE',
        align: 'right',
        text: ({ workspace }) => (workspace === null ? '-' : formatBytes(workspace.bytes)),
      },
      { title: 'NAME', text: ({ name }) => oneLine(name, 40) },
      { title: 'REASON', text: ({ reason }) => oneLine(reason, 40) },
    ],
    style,
  );
}

function contentOf({ workspace, home, root }: Checkpoint): string {
  return lines(
    workspace !== null &&
      `workspace ${workspace.entries} entries, ${formatBytes(workspace.bytes)} (${formatBytes(workspace.addedBytes)} new)`,
    home !== null && `home ${home.entries} entries, ${formatBytes(home.bytes)}`,
    root !== null && `root file system ${root.changedPaths} changed paths`,
  );
}
