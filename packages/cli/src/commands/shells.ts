import { type Execution, shortId } from '@opencode-tools/core';
import { type Command, taskParameter } from '../command.ts';
import { describeEnd } from '../describe-execution.ts';
import { formatTime, oneLine } from '../render/format.ts';
import { table } from '../render/table.ts';

export const shells: Command<readonly Execution[]> = {
  name: 'shells',
  summary: 'list the shells of a task that run',
  parameters: [taskParameter],
  options: [],
  run: async ({ services, task }) => services.executions.listShells(await task()),
  render: (found, style) =>
    found.length === 0
      ? style.dim('No shells.')
      : table(
          found,
          [
            { title: 'SHELL', text: ({ shell = '' }) => shell },
            { title: 'EXECUTION', text: ({ id }) => shortId(id) },
            { title: 'STARTED', text: ({ startedAt }) => formatTime(startedAt) },
            { title: 'AGENT', text: ({ agent }) => oneLine(agent, 20) },
          ],
          style,
        ),
  json: (found) => ({ shells: found }),
};

export const closeShell: Command<Execution> = {
  name: 'close-shell',
  summary: 'close a shell of the session; it is ended when it does not end by itself',
  changes: 'task',
  parameters: [taskParameter, { name: 'shell', summary: 'its name' }],
  options: [],
  run: async ({ services, task, input, session, call }) =>
    services.executions.closeShell(await task(), input.text('shell'), session, call),
  render: (execution) => `${execution.shell ?? ''}: ${describeEnd(execution)}`,
};
