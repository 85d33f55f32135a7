import { type Deletion, shortId } from '@opencode-tools/core';
import { type Command, taskParameter } from '../command.ts';
import { lines, oneLine, plural } from '../render/format.ts';

export const cleanupTask: Command<Deletion> = {
  name: 'cleanup-task',
  summary: 'delete a task: save it in a last checkpoint, then remove its sandbox and volumes',
  notes: ['The record of the task and its checkpoints stay readable. Doing it again gives the same receipt.'],
  changes: 'task',
  parameters: [taskParameter],
  options: [
    { name: 'dry-run', summary: 'say what would be removed and kept, and change nothing' },
    { name: 'force', summary: 'also while another session holds the task, and when the engine has lost work of it' },
  ],
  async run({ input, services, call, session, task }) {
    const options = { ...session, dryRun: input.flag('dry-run'), force: input.flag('force') };
    return services.tasks.delete(await task(), options, call);
  },
  render({ dryRun, receipt, notices = [] }, style) {
    const { removed, keptImages, finalCheckpointId, lost = [] } = receipt;
    const objects = [
      plural(removed.containers, 'container'),
      plural(removed.volumes, 'volume'),
      plural(removed.networks, 'network'),
    ].join(', ');
    const saved = dryRun ? 'saved first' : 'saved as';
    return lines(
      `${dryRun ? style.warning('would delete') : style.good('deleted')} ${style.strong(shortId(receipt.taskId))} ${oneLine(receipt.title)}`,
      `${dryRun ? 'would remove' : 'removed'} ${objects}`,
      finalCheckpointId !== null && `${saved} checkpoint ${finalCheckpointId}`,
      ...notices.map((notice) => style.warning(oneLine(notice, 1_000))),
      ...lost.map((what) => `${style.warning('lost')} ${oneLine(what, 300)}`),
      ...keptImages.map((image) => `kept image ${oneLine(image, 100)}`),
      `record in ${oneLine(receipt.memory, 200)}`,
    );
  },
};
