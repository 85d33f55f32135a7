import type { TaskWorkMerged } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { text } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { lines, oneLine, plural, shownPath } from '../render/format.ts';
import { tripwireLine } from '../render/tripwire-line.ts';

const happened = {
  created: 'made',
  forwarded: 'moved forward',
  merged: 'merged',
  present: 'left as it is: it has the work already',
} as const;

export const merge: Command<TaskWorkMerged> = {
  name: 'merge',
  summary: 'bring the commits of a task to a branch of the repository that its workspace came from',
  notes: [
    'What the task did not commit, and does not ignore, comes as a last commit; the task itself stays as it is. Its image has to have git. The branch is made, or only goes forward; with --into work is merged into a branch that has gone on.',
    'A work tree that has the branch checked out goes along; nothing happens at all when changes that are not committed are in its way. No hook and no filter of the repository runs, and what the task wrote is checked in a repository apart before it comes to yours.',
    'Exit code 4 when something is in the way, 5 when changes wait to be accepted.',
  ],
  changes: 'task',
  parameters: [taskParameter],
  options: [
    {
      name: 'branch',
      value: text('branch'),
      summary: 'another name (default: opencode-tools/ and the short id of the task)',
    },
    { name: 'into', value: text('branch'), summary: 'merge into this branch, which exists' },
    {
      name: 'ref',
      value: text('ref'),
      summary: 'bring this branch, tag or commit of the task, and nothing uncommitted',
    },
    { name: 'accept', value: text('path'), repeatable: true, summary: 'bring this path although it has a tripwire' },
    { name: 'dry-run', summary: 'say what would happen and change nothing here' },
  ],
  async run({ services, input, call, session, task }) {
    const options = given({
      branch: input.get<string>('branch'),
      into: input.get<string>('into'),
      ref: input.get<string>('ref'),
    });
    const more = { accept: input.list('accept'), dryRun: input.flag('dry-run') };
    return services.work.merge(await task(), { ...session, ...options, ...more }, call);
  },
  render(result, style) {
    const { merged, how, branch, commit, commits, changes, workTree, conflicts, refused, repository } = result;
    const where = `${oneLine(branch)} in ${shownPath(repository)}`;
    const head = merged
      ? `${style.good(happened[how])}: ${where}${how === 'present' ? '' : `, ${plural(commits, 'commit')}, ${plural(changes.length, 'path')}`}`
      : style.warning(`nothing was changed: ${where}`);
    return lines(
      head,
      merged && commit !== null ? style.dim(commit) : '',
      merged && workTree !== null && how !== 'present' ? `the work tree at ${shownPath(workTree)} went along` : '',
      ...conflicts.map(({ path: at, reason }) => `${style.bad('conflict')} ${shownPath(at)}: ${oneLine(reason)}`),
      ...refused.map((each) => tripwireLine(each, style)),
      refused.length === 0 ? '' : style.dim('Accept each by --accept PATH when it is meant.'),
    );
  },
  exitCode: ({ conflicts, refused }) => (conflicts.length > 0 ? 4 : refused.length > 0 ? 5 : 0),
};
