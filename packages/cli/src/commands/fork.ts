import { type Task, shortId } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { text } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { lines, oneLine } from '../render/format.ts';

export const fork: Command<{ readonly task: Task }> = {
  name: 'fork',
  summary: 'make a second task from a checkpoint of a task, which is not touched',
  changes: 'task',
  parameters: [taskParameter],
  options: [
    { name: 'checkpoint', value: text('checkpoint'), summary: 'full id, short id or name (default: the newest)' },
    { name: 'title', value: text('title'), summary: 'title of the new task' },
  ],
  async run({ input, services, call, session, task }) {
    const options = {
      ...session,
      ...given({ checkpoint: input.get<string>('checkpoint'), title: input.get<string>('title') }),
    };
    return { task: await services.tasks.fork(await task(), options, call) };
  },
  render({ task }, style) {
    const from = task.forkedFrom === null ? '' : ` from checkpoint ${shortId(task.forkedFrom.checkpointId)}`;
    return lines(
      `${style.good('forked')} ${style.strong(shortId(task.id))} ${oneLine(task.title)}${from}`,
      style.dim(task.id),
    );
  },
};
