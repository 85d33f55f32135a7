import type { CommittedWork } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { text } from '../arguments/values.ts';
import { usageError } from '../arguments/usage-error.ts';
import { type Command, taskParameter } from '../command.ts';
import { lines, oneLine, plural, shownPath } from '../render/format.ts';
import { tripwireLine } from '../render/tripwire-line.ts';

export const commit: Command<CommittedWork> = {
  name: 'commit',
  summary: 'commit what changed in a bind workspace, whose .git no sandbox can write',
  notes: [
    'Takes what `git add --all` in the directory would, to the branch that is checked out, and leaves the index as git would. Ignored files stay out, and so do submodules and other repositories below it; what is staged elsewhere in the work tree stays staged. With --path as with `git commit --only`, new files included.',
    'No hook and no filter runs, so that a changed file with a filter (Git LFS) is in the way. Refused in the middle of a merge, rebase or the like.',
    'Exit code 4 when something is in the way, 5 when changes wait to be accepted.',
  ],
  changes: 'task',
  parameters: [taskParameter],
  options: [
    { name: 'message', short: 'm', value: text('text'), summary: 'what the commit says; required' },
    { name: 'author', value: text('name <address>'), summary: 'by default user.name and user.email of your git' },
    {
      name: 'path',
      value: text('path'),
      repeatable: true,
      summary: 'commit this file or directory alone; no pattern, relative to the workspace',
    },
    { name: 'accept', value: text('path'), repeatable: true, summary: 'commit this path although it has a tripwire' },
    { name: 'dry-run', summary: 'say what would be committed and change nothing' },
  ],
  async run({ services, input, call, session, task }) {
    const message = input.get<string>('message');
    if (message === undefined)
      throw usageError('A commit needs a message', 'Give one with --message TEXT.', { argument: '--message' });
    const paths = input.list('path');
    const options = given({ author: input.get<string>('author'), paths: paths.length === 0 ? undefined : paths });
    const more = { message, accept: input.list('accept'), dryRun: input.flag('dry-run') };
    return services.work.commit(await task(), { ...session, ...options, ...more }, call);
  },
  render(result, style) {
    const { committed, repository, branch, commit: made, changes, conflicts, leftOut, refused } = result;
    const where = `${branch === null ? 'a detached commit' : oneLine(branch)} in ${shownPath(repository)}`;
    const head = committed
      ? `${style.good('committed')}: ${plural(changes.length, 'path')} to ${where}`
      : `${style.warning('nothing was committed')}: ${where}`;
    return lines(
      head,
      committed && made !== null ? style.dim(made) : '',
      ...(committed ? [] : changes.map(({ path, change }) => `${change.padEnd(8)} ${shownPath(path)}`)),
      ...conflicts.map(({ path: at, reason }) => `${style.bad('conflict')} ${shownPath(at)}: ${oneLine(reason)}`),
      ...leftOut.map((path) =>
        style.dim(`left out ${shownPath(path)}: a repository of its own, or neither file nor link`),
      ),
      ...refused.map((each) => tripwireLine(each, style)),
      refused.length === 0 ? '' : style.dim('Accept each by --accept PATH when it is meant.'),
    );
  },
  exitCode: ({ conflicts, refused }) => (conflicts.length > 0 ? 4 : refused.length > 0 ? 5 : 0),
};
