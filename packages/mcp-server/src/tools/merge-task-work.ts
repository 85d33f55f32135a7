import { type TaskWorkMerged, shortId } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { changeLines, changesField, conflictLines, tripwiresField, tripwiresOf } from '../text/changed-paths.ts';
import { defineTool } from '../tool.ts';
import { askThePerson } from './apply-task-work.ts';
import { count, optionalSessionId, taskId, unlistedKey } from './fields.ts';
import { conflictsField, tripwireFields } from './work-fields.ts';

const name = z.string().min(1).max(200);

export const mergeTaskWork = defineTool({
  name: 'merge_task_work',
  title: 'Bring commits of a task to a host branch',
  description: 'Bring commits and uncommitted work to a branch of its source.',
  annotations: { destructiveHint: true },
  input: z.strictObject({
    task_id: taskId,
    session_id: optionalSessionId,
    branch: name.optional().describe('Default opencode-tools/<short id>'),
    into: name.optional().describe('Existing branch'),
    ref: name.optional(),
    dry_run: z.boolean().optional(),
    idempotency_key: unlistedKey,
  }),
  output: z.object({
    merged: z.boolean(),
    how: z.string(),
    repository: z.string(),
    branch: z.string(),
    commit: z.string().optional(),
    commits: count,
    work_tree: z.string().optional(),
    changes: z.array(z.object({ path: z.string(), change: z.string() })),
    conflicts: conflictsField,
    refused: tripwireFields,
    total: count,
  }),
  async run(
    { task_id, session_id: sessionId, branch, into, ref, dry_run: dryRun = false, idempotency_key: key },
    context,
  ) {
    const id = await context.taskId(task_id, key);
    const options = {
      dryRun,
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(branch === undefined ? {} : { branch }),
      ...(into === undefined ? {} : { into }),
      ...(ref === undefined ? {} : { ref }),
    };
    if (!dryRun) context.home.services.work.assertAgentMay({ verb: 'merge', branch, into });
    const done = await context.home.services.work.merge(id, options, await context.call({ sessionId }, key));
    return answer(done, `opencode-tools merge ${shortId(id)}`);
  },
});

function answer(done: TaskWorkMerged, command: string) {
  const { merged, how, repository, branch, commit, commits, workTree, changes, conflicts, refused } = done;
  const where = `branch ${branch} in ${repository}`;
  const head = merged
    ? how === 'present'
      ? `The ${where} has the work already.`
      : `The ${where} was ${how}: ${commits} commits, ${changes.length} paths.`
    : `Nothing was changed: ${where}.`;
  return {
    text: [
      head,
      ...changeLines(changes),
      ...(merged && workTree !== null && how !== 'present' ? [`The work tree at ${workTree} went along.`] : []),
      ...conflictLines(conflicts),
      ...tripwiresOf(refused),
      ...askThePerson(refused, command),
    ].join('\n'),
    data: {
      merged,
      how,
      repository,
      branch,
      ...(commit === null ? {} : { commit }),
      commits,
      ...(workTree === null ? {} : { work_tree: workTree }),
      changes: changesField(changes),
      conflicts: conflicts.map(({ path, reason }) => ({ path: path.toWellFormed(), reason })),
      refused: tripwiresField(refused),
      total: changes.length,
    },
  };
}
