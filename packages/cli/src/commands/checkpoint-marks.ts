import { type Checkpoint, type CheckpointDeletion, shortId } from '@opencode-tools/core';
import { type Command, type CommandContext, taskParameter } from '../command.ts';
import { lines, oneLine } from '../render/format.ts';

const checkpointParameter = { name: 'checkpoint', summary: 'full id, short id, tag or name' };

interface Marked {
  readonly checkpoint: Checkpoint;
}

export const checkpointsTag: Command<Marked> = {
  name: 'checkpoints tag',
  summary: 'give a checkpoint a further name, which keeps it from being deleted or thinned out',
  changes: 'task',
  parameters: [
    taskParameter,
    checkpointParameter,
    { name: 'tag', summary: '1 to 60 letters, digits, dots, underscores and dashes' },
  ],
  options: [],
  run: async ({ input, services, task, session, call }) => ({
    checkpoint: await services.checkpoints.tag(
      await task(),
      input.text('checkpoint'),
      input.text('tag'),
      session,
      call,
    ),
  }),
  render: ({ checkpoint }, style) => `${style.good('tagged')} ${describe(checkpoint)}`,
};

export const checkpointsUntag: Command<Marked> = {
  name: 'checkpoints untag',
  summary: 'take a tag away',
  changes: 'task',
  parameters: [taskParameter, { name: 'tag', summary: 'as it was given' }],
  options: [],
  run: async ({ input, services, task, session, call }) => ({
    checkpoint: await services.checkpoints.untag(await task(), input.text('tag'), session, call),
  }),
  render: ({ checkpoint }, style) => `${style.good('untagged')} ${describe(checkpoint)}`,
};

export const checkpointsPin: Command<Marked> = {
  name: 'checkpoints pin',
  summary: 'keep a checkpoint until it is unpinned',
  changes: 'task',
  parameters: [taskParameter, checkpointParameter],
  options: [],
  run: (context) => pin(context, true),
  render: ({ checkpoint }, style) => `${style.good('pinned')} ${describe(checkpoint)}`,
};

export const checkpointsUnpin: Command<Marked> = {
  name: 'checkpoints unpin',
  summary: 'let a checkpoint go when its time has come',
  changes: 'task',
  parameters: [taskParameter, checkpointParameter],
  options: [],
  run: (context) => pin(context, false),
  render: ({ checkpoint }, style) => `${style.good('unpinned')} ${describe(checkpoint)}`,
};

export const checkpointsDelete: Command<CheckpointDeletion> = {
  name: 'checkpoints delete',
  summary: 'delete a checkpoint; its record stays in the ledger',
  notes: [
    'Refused for the one that the task comes back from, and for one that is tagged or pinned. Forks keep what they began with. Space that nothing else needs is free again after the next collection, which leaves alone what was used within the hour.',
  ],
  changes: 'task',
  parameters: [taskParameter, checkpointParameter],
  options: [{ name: 'dry-run', summary: 'say which one would be deleted, or why it would not' }],
  run: async ({ input, services, task, session, call }) =>
    services.checkpoints.delete(
      await task(),
      input.text('checkpoint'),
      { ...session, dryRun: input.flag('dry-run') },
      call,
    ),
  render: ({ dryRun, checkpoint }, style) =>
    `${dryRun ? style.warning('would delete') : style.good('deleted')} ${describe(checkpoint)}`,
};

async function pin({ input, services, task, session, call }: CommandContext, pinned: boolean): Promise<Marked> {
  const checkpoint = await services.checkpoints.pin(await task(), input.text('checkpoint'), pinned, session, call);
  return { checkpoint };
}

function describe({ id, name, tags }: Checkpoint): string {
  return lines(`${shortId(id)} ${oneLine(name)}${tags.length === 0 ? '' : ` (${tags.join(', ')})`}`);
}
