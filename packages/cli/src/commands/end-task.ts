import { type Task, shortId } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { duration, text } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { oneLine } from '../render/format.ts';
import type { Style } from '../render/style.ts';

interface Ended {
  readonly task: Task;
}

export const stop: Command<Ended> = {
  name: 'stop',
  summary: 'end what runs in a task and stop its sandbox; the task can be resumed',
  changes: 'task',
  parameters: [taskParameter],
  options: [{ name: 'grace', value: duration(0, 60_000), summary: 'how long processes may take to end by themselves' }],
  async run({ input, services, call, session, task }) {
    const options = { ...session, ...given({ graceMs: input.get<number>('grace') }) };
    return { task: await services.tasks.stop(await task(), options, call) };
  },
  render: ({ task }, style) => renderEnd('stopped', task, style),
};

export const completeTask: Command<Ended> = {
  name: 'complete-task',
  summary: 'mark a task as done',
  changes: 'task',
  parameters: [taskParameter],
  options: [{ name: 'summary', value: text('text'), summary: 'what came of it' }],
  async run({ input, services, call, session, task }) {
    const options = { ...session, ...given({ summary: input.get<string>('summary') }) };
    return { task: await services.tasks.complete(await task(), options, call) };
  },
  render: ({ task }, style) => renderEnd('completed', task, style),
};

export const cancel: Command<Ended> = {
  name: 'cancel',
  summary: 'give a task up',
  changes: 'task',
  parameters: [taskParameter],
  options: [{ name: 'reason', value: text('text'), summary: 'why, for the record' }],
  async run({ input, services, call, session, task }) {
    const options = { ...session, ...given({ reason: input.get<string>('reason') }) };
    return { task: await services.tasks.cancel(await task(), options, call) };
  },
  render: ({ task }, style) => renderEnd('cancelled', task, style),
};

function renderEnd(word: string, task: Task, style: Style): string {
  const status = task.status === word ? '' : `, now ${task.status}`;
  return `${style.good(word)} ${style.strong(shortId(task.id))} ${oneLine(task.title)}${status}`;
}
