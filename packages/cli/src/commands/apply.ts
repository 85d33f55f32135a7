import { resolve } from 'node:path';
import type { ReviewedWork, TaskWorkApplied } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { path, text } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { lines, oneLine, plural, shownPath } from '../render/format.ts';
import type { Style } from '../render/style.ts';
import { tripwireLine } from '../render/tripwire-line.ts';

const checkpoint = {
  name: 'checkpoint',
  value: text('checkpoint'),
  summary: 'look at this one, by id or name (default: one that is taken now)',
};

export const diff: Command<ReviewedWork> = {
  name: 'diff',
  summary:
    'list what a task changed in its workspace, and which of it would run on this machine or steer who works here',
  changes: 'task',
  parameters: [taskParameter],
  options: [checkpoint],
  async run({ services, input, call, session, task }) {
    const options = { ...session, ...given({ checkpoint: input.get<string>('checkpoint') }) };
    return services.work.review(await task(), options, call);
  },
  render: ({ changes, tripwires }, style) =>
    lines(
      ...changes.map(({ path: at, change }) => `${letter(change, style)} ${shownPath(at)}`),
      changes.length === 0 ? style.dim('Nothing changed.') : '',
      ...tripwires.map((each) => tripwireLine(each, style)),
    ),
};

export const apply: Command<TaskWorkApplied> = {
  name: 'apply',
  summary: 'bring what a task changed into the directory that its workspace came from',
  notes: [
    'All of it or nothing: nothing while a path was changed here as well, and nothing while a change that would run on this machine or steer who works here is not accepted by name. Other paths are not touched, committed or not. Git is not asked, and nothing is staged.',
    'Killed half way, it is undone by the next command, whatever it is.',
    'Exit code 4 when paths are in conflict, 5 when changes wait to be accepted.',
  ],
  changes: 'task',
  parameters: [taskParameter],
  options: [
    checkpoint,
    { name: 'to', value: path('directory'), summary: 'another directory' },
    { name: 'accept', value: text('path'), repeatable: true, summary: 'apply this path although it has a tripwire' },
    {
      name: 'three-way',
      summary: 'merge files that were changed here as well, where no two changes touch',
    },
    { name: 'dry-run', summary: 'say what would happen and change nothing' },
  ],
  async run({ services, input, call, session, task, cwd }) {
    const to = input.get<string>('to');
    const options = given({
      checkpoint: input.get<string>('checkpoint'),
      directory: to === undefined ? undefined : resolve(cwd, to),
    });
    const more = { accept: input.list('accept'), threeWay: input.flag('three-way'), dryRun: input.flag('dry-run') };
    return services.work.apply(await task(), { ...session, ...options, ...more }, call);
  },
  render(result, style) {
    const { applied, changed, merged, present, kept, conflicts, refused, directory } = result;
    const head = applied
      ? `${style.good('applied')} ${plural(changed.length, 'path')} to ${shownPath(directory)}`
      : style.warning(`nothing was changed in ${shownPath(directory)}`);
    return lines(
      head,
      ...changed.map((at) => `  ${shownPath(at)}${merged.includes(at) ? ' (merged with what you changed)' : ''}`),
      present.length === 0 ? '' : style.dim(`${plural(present.length, 'path')} there already`),
      ...kept.map((at) => style.dim(`  ${shownPath(at)} stays as you changed it: the task did not change it since`)),
      ...conflicts.map(({ path: at, reason }) => `${style.bad('conflict')} ${shownPath(at)}: ${oneLine(reason)}`),
      ...refused.map((each) => tripwireLine(each, style)),
      refused.length === 0 ? '' : style.dim('Accept each by --accept PATH when it is meant.'),
    );
  },
  exitCode: ({ conflicts, refused }) => (conflicts.length > 0 ? 4 : refused.length > 0 ? 5 : 0),
};

function letter(change: string, style: Style): string {
  return change === 'added' ? style.good('A') : change === 'deleted' ? style.bad('D') : style.warning('M');
}
