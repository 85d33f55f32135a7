import { type Checkpoint, shortId } from '@opencode-tools/core';
import { formatBytes, formatTime, lines, oneLine } from './format.ts';
import type { Style } from './style.ts';
import { table } from './table.ts';

/** Checkpoints, one a line. */
export function checkpointTable(checkpoints: readonly Checkpoint[], style: Style): string {
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
      { title: 'KEPT', text: ({ pinned, tags }) => oneLine([...(pinned ? ['pinned'] : []), ...tags].join(', '), 40) },
      { title: 'NAME', text: ({ name }) => oneLine(name, 40) },
      { title: 'REASON', text: ({ reason }) => oneLine(reason, 40) },
    ],
    style,
  );
}

/** What one checkpoint holds. */
export function checkpointContent({ workspace, home, root }: Checkpoint): string {
  return lines(
    workspace !== null &&
      `workspace ${workspace.entries} entries, ${formatBytes(workspace.bytes)} (${formatBytes(workspace.addedBytes)} new)`,
    home !== null && `home ${home.entries} entries, ${formatBytes(home.bytes)}`,
    root !== null && `root file system ${root.changedPaths} changed paths`,
  );
}
