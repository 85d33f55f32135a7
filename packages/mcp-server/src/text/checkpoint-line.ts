import { type Checkpoint, printable } from '@opencode-tools/core';

/** A checkpoint in one line for a model. */
export function checkpointLine({ id, name, reason, createdAt, pinned, tags }: Checkpoint): string {
  const kept = [...tags, ...(pinned ? ['pinned'] : [])];
  return [
    `${id} ${printable(name)}`,
    createdAt,
    ...(reason === '' ? [] : [printable(reason).slice(0, 200)]),
    ...(kept.length === 0 ? [] : [`kept: ${kept.join(', ')}`]),
  ].join(', ');
}
