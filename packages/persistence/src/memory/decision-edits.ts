import {
  type Actor,
  type Clock,
  type Decision,
  type RecordDraft,
  type TaskId,
  createIds,
  toTimestamp,
} from '@opencode-tools/core';
import type { DecisionEdits } from './read-decisions.ts';

/** Whoever wrote into the file by hand. */
const editor: Actor = {
  kind: 'user',
  id: 'decisions.md',
  agent: null,
  model: null,
  session: null,
  onBehalfOf: null,
};

/** The records that say what a person changed in `decisions.md`. */
export function editRecords(edits: DecisionEdits, taskId: TaskId, clock: Clock): readonly RecordDraft[] {
  const ids = createIds(clock);
  const added: readonly Decision[] = edits.added.map(({ what, why, alternatives }) => ({
    id: ids.next('decision'),
    taskId,
    sessionId: null,
    agent: editor.id,
    what,
    why,
    alternatives,
    executionIds: [],
    checkpointIds: [],
    createdAt: toTimestamp(clock.nowMs()),
  }));
  return [...edits.changed, ...added].map((value) => ({
    stream: taskId,
    type: 'decision.edited',
    actor: editor,
    puts: [{ noun: 'decision', value }],
    detail: { file: 'decisions.md', added: added.includes(value) },
  }));
}
