import {
  type Page,
  type Task,
  type TaskFilter,
  type TaskOrder,
  type TaskStatus,
  shortId,
  taskOrders,
  taskStatuses,
} from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { type NameValue, choice, integer, nameValue, text, time } from '../arguments/values.ts';
import type { Command, CommandContext, CommandOption } from '../command.ts';
import { formatTime, lines, oneLine, paintStatus } from '../render/format.ts';
import type { Style } from '../render/style.ts';
import { table } from '../render/table.ts';

/** Options of every verb that gives a page of something. */
export const pageOptions: readonly CommandOption[] = [
  { name: 'limit', value: integer('count', 1, 500), summary: 'how many at most (default: 50)' },
  { name: 'cursor', value: text('cursor'), summary: 'go on where the page before ended' },
];

const filterOptions: readonly CommandOption[] = [
  { name: 'status', value: choice('status', taskStatuses), repeatable: true, summary: 'only with this status' },
  { name: 'label', value: nameValue('name=value'), summary: 'only with this label' },
  { name: 'agent', value: text('name'), summary: 'only where this agent is or was attached' },
  { name: 'parent', value: text('task'), summary: 'only parts of this task' },
  { name: 'owner', value: text('name'), summary: 'only of this owner' },
  { name: 'project', value: text('name'), summary: 'only of this project' },
  { name: 'created-after', value: time(), summary: 'only newer ones' },
  { name: 'created-before', value: time(), summary: 'only older ones' },
  { name: 'order', value: choice('order', taskOrders), summary: 'order' },
  ...pageOptions,
];

export const listTasks: Command<Page<Task>> = {
  name: 'list-tasks',
  summary: 'list tasks, newest first',
  parameters: [],
  options: [...filterOptions, { name: 'text', value: text('words'), summary: 'only those that hold these words' }],
  run: (context) => findTasks(context, context.input.get('text')),
  render: renderTasks,
  json: ({ items, next }) => ({ tasks: items, next }),
};

export const findTask: Command<Page<Task>> = {
  name: 'find-task',
  summary: 'find tasks by words in title, description, decisions, todos, notes and messages',
  parameters: [{ name: 'text', summary: 'words to look for', variadic: true }],
  options: filterOptions,
  run: (context) => findTasks(context, context.input.list('text').join(' ')),
  render: renderTasks,
  json: ({ items, next }) => ({ tasks: items, next }),
};

async function findTasks({ input, services }: CommandContext, words: string | undefined): Promise<Page<Task>> {
  const label = input.get<NameValue>('label');
  const parent = input.get<string>('parent');
  const filter: TaskFilter = given({
    status: input.get<readonly TaskStatus[]>('status'),
    label: label === undefined ? undefined : { name: label.name, ...given({ value: label.value }) },
    agent: input.get<string>('agent'),
    parentId: parent === undefined ? undefined : await services.tasks.resolve(parent),
    owner: input.get<string>('owner'),
    project: input.get<string>('project'),
    text: words,
    createdAfter: input.get<string>('created-after'),
    createdBefore: input.get<string>('created-before'),
  });
  const page = given({
    limit: input.get<number>('limit'),
    cursor: input.get<string>('cursor'),
    order: input.get<TaskOrder>('order'),
  });
  return services.tasks.list(filter, page);
}

function renderTasks({ items, next }: Page<Task>, style: Style): string {
  if (items.length === 0) return style.dim('No tasks.');
  const rows = table(
    items,
    [
      { title: 'TASK', text: ({ id }) => shortId(id) },
      { title: 'STATUS', text: ({ status }) => status, paint: ({ status }) => paintStatus(status, style) },
      { title: 'UPDATED', text: ({ updatedAt }) => formatTime(updatedAt) },
      { title: 'TITLE', text: ({ title }) => oneLine(title) },
    ],
    style,
  );
  return lines(rows, next !== null && style.dim(`More: --cursor ${next}`));
}
