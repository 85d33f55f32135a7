import { type CommittedWork, shortId } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { changeLines, changesField, conflictLines, tripwiresField, tripwiresOf } from '../text/changed-paths.ts';
import { defineTool } from '../tool.ts';
import { askThePerson } from './apply-task-work.ts';
import { optionalSessionId, taskId, unlistedKey } from './fields.ts';
import { conflictsField, tripwireFields } from './work-fields.ts';

export const commitTaskWork = defineTool({
  name: 'commit_task_work',
  title: 'Commit a bind workspace',
  description: 'Commit a bind workspace.',
  annotations: { destructiveHint: true },
  input: z.strictObject({
    task_id: taskId,
    session_id: optionalSessionId,
    message: z.string(),
    paths: z.array(z.string()).optional(),
    dry_run: z.boolean().optional(),
    idempotency_key: unlistedKey,
  }),
  output: z.object({
    committed: z.boolean(),
    repository: z.string(),
    branch: z.string().optional(),
    commit: z.string().optional(),
    changes: z.array(z.object({ path: z.string(), change: z.string() })),
    conflicts: conflictsField,
    refused: tripwireFields,
  }),
  async run(
    { task_id, session_id: sessionId, message, paths, dry_run: dryRun = false, idempotency_key: key },
    context,
  ) {
    const id = await context.taskId(task_id, key);
    const options = {
      message,
      dryRun,
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(paths === undefined ? {} : { paths }),
    };
    if (!dryRun) context.home.services.work.assertAgentMay({ verb: 'commit' });
    const done = await context.home.services.work.commit(id, options, await context.call({ sessionId }, key));
    return answer(done, `opencode-tools commit ${shortId(id)}`);
  },
});

function answer(done: CommittedWork, command: string) {
  const { committed, repository, branch, commit, changes, conflicts, leftOut, refused } = done;
  const where = `${branch === null ? 'a detached commit' : `branch ${branch}`} in ${repository}`;
  return {
    text: [
      committed ? `Committed ${changes.length} paths to ${where}.` : `Nothing was committed: ${where}.`,
      ...changeLines(changes),
      ...leftOut.map((path) => `Left out: ${path.toWellFormed()}`),
      ...conflictLines(conflicts),
      ...tripwiresOf(refused),
      ...askThePerson(refused, command),
    ].join('\n'),
    data: {
      committed,
      repository,
      ...(branch === null ? {} : { branch }),
      ...(commit === null ? {} : { commit }),
      changes: changesField(changes),
      conflicts: conflicts.map(({ path, reason }) => ({ path: path.toWellFormed(), reason })),
      refused: tripwiresField(refused),
    },
  };
}
