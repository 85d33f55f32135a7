import { type TaskWorkApplied, shortId } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { conflictLines, pathsField, tripwiresField, tripwiresOf } from '../text/changed-paths.ts';
import { defineTool } from '../tool.ts';
import { checkpoint, count, optionalSessionId, taskId, unlistedKey } from './fields.ts';
import { conflictsField, tripwireFields } from './work-fields.ts';

export const applyTaskWork = defineTool({
  name: 'apply_task_work',
  title: 'Apply the work of a task on the host',
  description: 'Apply changed files to its host source, all or none.',
  annotations: { destructiveHint: true },
  input: z.strictObject({
    task_id: taskId,
    session_id: optionalSessionId,
    checkpoint: checkpoint.optional(),
    three_way: z.boolean().optional().describe('Merge lines changed on both sides'),
    dry_run: z.boolean().optional(),
    idempotency_key: unlistedKey,
  }),
  output: z.object({
    applied: z.boolean(),
    directory: z.string(),
    checkpoint_id: z.string(),
    changed: z.array(z.string()),
    merged: z.array(z.string()),
    conflicts: conflictsField,
    refused: tripwireFields,
    total: count,
  }),
  async run(
    {
      task_id,
      session_id: sessionId,
      checkpoint: at,
      three_way: threeWay = false,
      dry_run: dryRun,
      idempotency_key: key,
    },
    context,
  ) {
    const id = await context.taskId(task_id, key);
    const options = {
      threeWay,
      dryRun: dryRun === true,
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(at === undefined ? {} : { checkpoint: at }),
    };
    if (dryRun !== true) context.home.services.work.assertAgentMay({ verb: 'apply' });
    const done = await context.home.services.work.apply(id, options, await context.call({ sessionId }, key));
    return answer(done, `opencode-tools apply ${shortId(id)}`);
  },
});

function answer(done: TaskWorkApplied, command: string) {
  const { applied, directory, checkpoint: at, changed, merged, present, kept, conflicts, refused } = done;
  const verb = applied ? 'Applied to' : 'Nothing was changed in';
  const would = applied ? [] : changed.length === 0 ? [] : [`${changed.length} paths would change.`];
  return {
    text: [
      `${verb} ${directory}${applied ? `: ${changed.length} paths` : ''}.`,
      ...would,
      ...(present.length === 0 ? [] : [`${present.length} paths are there already.`]),
      ...(kept.length === 0
        ? []
        : [`${kept.length} paths stay as the user changed them; the task did not since they were applied.`]),
      ...conflictLines(conflicts),
      ...tripwiresOf(refused),
      ...askThePerson(refused, command),
    ].join('\n'),
    data: {
      applied,
      directory,
      checkpoint_id: at.id,
      changed: pathsField(changed),
      merged: pathsField(merged),
      conflicts: conflicts.map(({ path, reason }) => ({ path: path.toWellFormed(), reason })),
      refused: tripwiresField(refused),
      total: changed.length,
    },
  };
}

/** Tripwires are accepted by whom they would hit. */
export function askThePerson(refused: readonly unknown[], command: string): readonly string[] {
  if (refused.length === 0) return [];
  return [`Only the user can accept tripwires, after a look at them: \`${command} --accept PATH\`.`];
}
