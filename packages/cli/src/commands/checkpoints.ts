import { type Checkpoint, type NewCheckpoint, type Restoration, shortId } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { usageError } from '../arguments/usage-error.ts';
import { text } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { checkpointContent, checkpointTable } from '../render/checkpoint.ts';
import { lines, oneLine } from '../render/format.ts';

type Checkpoints =
  | { readonly checkpoint: NewCheckpoint; readonly checkpoints?: never }
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
    { name: 'if-changed', summary: 'make none when nothing changed since the newest one, and show that' },
  ],
  async run({ input, services, call, session, task }) {
    const options = given({
      name: input.get<string>('name'),
      reason: input.get<string>('reason'),
      ifChanged: input.flag('if-changed') || undefined,
    });
    if (!input.flag('list')) {
      return { checkpoint: await services.checkpoints.create(await task(), { ...session, ...options }, call) };
    }
    if (Object.keys(options).length > 0) {
      throw usageError(
        '--list cannot be combined with --name, --reason or --if-changed',
        'Leave --list out to make a checkpoint.',
      );
    }
    return { checkpoints: await services.checkpoints.list(await task()) };
  },
  render(result, style) {
    if (result.checkpoints !== undefined) return checkpointTable(result.checkpoints, style);
    return lines(
      `${style.good(result.checkpoint.unchanged === true ? 'unchanged since' : 'saved')} ${style.strong(shortId(result.checkpoint.id))} ${oneLine(result.checkpoint.name)}`,
      style.dim(result.checkpoint.id),
      checkpointContent(result.checkpoint),
      ...(result.checkpoint.notices ?? []).map((notice) => style.warning(oneLine(notice, 1_000))),
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
  render({ dryRun, checkpoint: point, saved, endedProcesses, notices = [] }, style) {
    return lines(
      `${dryRun ? style.warning('would restore') : style.good('restored')} ${style.strong(shortId(point.id))} ${oneLine(point.name)}`,
      saved !== null && `what was there before is checkpoint ${saved.id}`,
      endedProcesses > 0 && `${dryRun ? 'running executions that would end' : 'processes ended'}: ${endedProcesses}`,
      ...notices.map((notice) => style.warning(oneLine(notice, 1_000))),
    );
  },
};
