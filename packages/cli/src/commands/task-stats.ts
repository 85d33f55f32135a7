import { type TaskStats, taskStatuses } from '@opencode-tools/core';
import type { Command } from '../command.ts';
import { formatBytes, formatDuration } from '../render/format.ts';
import type { Style } from '../render/style.ts';
import { facts } from '../render/table.ts';

export const taskStats: Command<TaskStats> = {
  name: 'task-stats',
  summary: 'count tasks by status, and what was done in one task',
  parameters: [{ name: 'task', summary: 'full id, short id or unique title', optional: true }],
  options: [],
  async run({ input, services, task }) {
    return services.tasks.stats(input.get('task') === undefined ? undefined : await task());
  },
  render({ tasks, task }, style) {
    if (task !== null) return renderTask(task, style);
    return facts(
      taskStatuses.map((status) => [status, String(tasks[status])] as const),
      style,
    );
  },
};

function renderTask(task: NonNullable<TaskStats['task']>, style: Style): string {
  return facts(
    [
      ['executions', `${task.executions} (${task.failedExecutions} failed, ${formatDuration(task.commandMs)} in all)`],
      ['checkpoints', `${task.checkpoints} (${formatBytes(task.checkpointBytes)})`],
      ['decisions', String(task.decisions)],
      ['sessions', String(task.sessions)],
      ['records', String(task.records)],
      ['memory', task.memoryBytes === null ? '-' : formatBytes(task.memoryBytes)],
      ['processes', task.processes === null ? '-' : String(task.processes)],
    ],
    style,
  );
}
