import {
  type Checkpoint,
  type CheckpointComparison,
  type CheckpointHealth,
  type TreeDifference,
  type TreeFacts,
  exitCodeFor,
  shortId,
} from '@opencode-tools/core';
import { type Command, taskParameter } from '../command.ts';
import { checkpointContent, checkpointTable } from '../render/checkpoint.ts';
import { formatBytes, formatTime, lines, oneLine, plural, shownPath } from '../render/format.ts';
import type { Style } from '../render/style.ts';
import { facts } from '../render/table.ts';

const reference = 'full id, short id, tag or name';

export const checkpointsList: Command<{ readonly checkpoints: readonly Checkpoint[] }> = {
  name: 'checkpoints list',
  summary: 'list the checkpoints of a task, newest first',
  parameters: [taskParameter],
  options: [],
  run: async ({ services, task }) => ({ checkpoints: await services.checkpoints.list(await task()) }),
  render: ({ checkpoints }, style) => checkpointTable(checkpoints, style),
};

export const checkpointsShow: Command<{ readonly checkpoint: Checkpoint }> = {
  name: 'checkpoints show',
  summary: 'show what one checkpoint holds and what it follows',
  parameters: [taskParameter, { name: 'checkpoint', summary: reference }],
  options: [],
  run: async ({ input, services, task }) => ({
    checkpoint: await services.checkpoints.get(await task(), input.text('checkpoint')),
  }),
  render: ({ checkpoint }, style) => {
    const { id, parentId, name, reason, agent, ledger, createdAt, manifestDigest, pinned, tags } = checkpoint;
    return lines(
      `${style.strong(shortId(id))} ${oneLine(name, 100)}`,
      facts(
        [
          ['id', id],
          ['created', formatTime(createdAt)],
          ['by', oneLine(agent)],
          ...(reason === '' ? [] : [['reason', oneLine(reason, 200)] as const]),
          ...(tags.length === 0 ? [] : [['tags', tags.join(', ')] as const]),
          ...(pinned ? [['pinned', 'yes'] as const] : []),
          ['follows', parentId ?? 'none'],
          ['ledger', `record ${ledger.seq}`],
          ['digest', manifestDigest],
        ],
        style,
      ),
      checkpointContent(checkpoint),
    );
  },
};

export const checkpointsDiff: Command<CheckpointComparison> = {
  name: 'checkpoints diff',
  summary: 'list what differs between two checkpoints of a task, file by file',
  notes: [
    'Letters: A added, D deleted, M modified; then kind, mode and size. Paths of the home directory begin with `~/`. With --json a path whose bytes are not UTF-8 comes in base64 as well.',
  ],
  parameters: [taskParameter, { name: 'from', summary: reference }, { name: 'to', summary: reference }],
  options: [],
  run: async ({ input, services, task }) =>
    services.checkpoints.compare(await task(), input.text('from'), input.text('to')),
  render({ from, to, workspace, home, rootDiffers }, style) {
    const count = workspace.length + home.length;
    return lines(
      style.dim(
        `${oneLine(from.name)} -> ${oneLine(to.name)}: ${plural(count, 'path')} differ${count === 1 ? 's' : ''}`,
      ),
      ...workspace.map((change) => describeChange(change, '', style)),
      ...home.map((change) => describeChange(change, '~/', style)),
      rootDiffers && style.warning('the root file systems are different images'),
    );
  },
};

export const checkpointsVerify: Command<{
  readonly sound: boolean;
  readonly checkpoints: readonly CheckpointHealth[];
}> = {
  name: 'checkpoints verify',
  summary: 'read every byte of one checkpoint of a task, or of all; exit code 8 when something is damaged',
  parameters: [taskParameter, { name: 'checkpoint', summary: `${reference} (default: all)`, optional: true }],
  options: [],
  async run({ input, services, task, call }) {
    const { signal, onProgress } = call;
    const watched = { ...(signal && { signal }), ...(onProgress && { onProgress }) };
    const checkpoints = await services.checkpoints.check(await task(), input.get<string>('checkpoint'), watched);
    return { sound: checkpoints.every(({ damage }) => damage.length === 0), checkpoints };
  },
  exitCode: ({ sound }) => (sound ? 0 : exitCodeFor('OCT_CHECKPOINT_CORRUPT')),
  render: ({ checkpoints }, style) =>
    checkpoints.length === 0
      ? style.dim('No checkpoints.')
      : lines(...checkpoints.map((health) => describeHealth(health, style))),
};

function describeHealth({ checkpoint, damage }: CheckpointHealth, style: Style): string {
  const what = `${shortId(checkpoint.id)} ${oneLine(checkpoint.name)}`;
  if (damage.length === 0) return `${style.good('sound')}   ${what}`;
  return lines(
    `${style.bad('damaged')} ${what}`,
    ...damage.map(({ part, object, message }) => `  ${part} ${object}: ${oneLine(message, 300)}`),
  );
}

const letters = { added: 'A', deleted: 'D', modified: 'M' } as const;

function describeChange({ path, change, from, to }: TreeDifference, prefix: string, style: Style): string {
  const paint = { added: style.good, deleted: style.bad, modified: style.warning }[change];
  return `${paint(letters[change])} ${prefix}${shownPath(path)}  ${style.dim(sides(from, to))}`;
}

/** What the path was and is; what stayed is said once. */
function sides(from: TreeFacts | null, to: TreeFacts | null): string {
  const [before, after] = [from, to].map((side) => (side === null ? '' : describeSide(side)));
  if (before === '' || before === after) return after ?? '';
  return after === '' ? (before ?? '') : `${before} -> ${after}`;
}

function describeSide({ kind, mode, sizeBytes }: TreeFacts): string {
  const size = kind === 'file' || kind === 'link' ? ` ${formatBytes(sizeBytes)}` : '';
  return `${kind} ${mode.toString(8).padStart(3, '0')}${size}`;
}
