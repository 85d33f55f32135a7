import { type Todo, type TodoState, shortId } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { usageError } from '../arguments/usage-error.ts';
import { expectedVersion, idOf, text as anyText } from '../arguments/values.ts';
import { type Command, type CommandContext, type CommandOption, taskParameter } from '../command.ts';
import { findTodo } from '../find-by-short-id.ts';
import { oneLine } from '../render/format.ts';
import type { Style } from '../render/style.ts';
import { table } from '../render/table.ts';

interface OneTodo {
  readonly todo: Todo;
}

const todoParameter = { name: 'todo', summary: 'full or short id' };
const versionOption: CommandOption = {
  name: 'expected-version',
  value: expectedVersion(),
  summary: 'version that you saw; has it gone on, the task’s conflict strategy decides',
};

export const todoAdd: Command<OneTodo> = {
  name: 'todo add',
  summary: 'add a todo to a task',
  changes: 'task',
  parameters: [taskParameter, { name: 'text', summary: '1 to 500 characters' }],
  options: [{ name: 'major', summary: 'worth a checkpoint when done' }],
  async run({ input, services, call, session, task }) {
    const todo = { ...session, text: input.text('text'), major: input.flag('major') };
    return { todo: await services.journal.addTodo(await task(), todo, call) };
  },
  render: ({ todo }, style) => renderTodo('added', todo, style),
};

export const todoList: Command<{ readonly todos: readonly Todo[] }> = {
  name: 'todo list',
  summary: 'list the todos of a task',
  parameters: [taskParameter],
  options: [],
  run: async ({ services, task }) => ({ todos: await services.journal.todos(await task()) }),
  render({ todos }, style) {
    if (todos.length === 0) return style.dim('No todos.');
    return table(
      todos,
      [
        { title: 'TODO', text: ({ id }) => shortId(id) },
        { title: 'STATE', text: ({ state }) => state, paint: ({ state }) => paintState(state, style) },
        { title: 'VERSION', text: ({ version }) => String(version) },
        { title: 'MAJOR', text: ({ major }) => (major ? 'yes' : '') },
        { title: 'TEXT', text: ({ text }) => oneLine(text, 100) },
      ],
      style,
    );
  },
};

export const todoStart = setState('todo start', 'say that a todo is being worked on', 'active', 'started');
export const todoDone = setState('todo done', 'say that a todo is done', 'done', 'done');
export const todoDrop = setState('todo drop', 'say that a todo will not be done', 'dropped', 'dropped');

function setState(name: string, summary: string, state: TodoState, word: string): Command<OneTodo> {
  return {
    name,
    summary,
    changes: 'task',
    parameters: [taskParameter, todoParameter],
    options: [versionOption],
    run: (context) => setTodo(context, { state }),
    render: ({ todo }, style) => renderTodo(word, todo, style),
  };
}

export const todoEdit: Command<OneTodo> = {
  name: 'todo edit',
  summary: 'change the words or the weight of a todo',
  changes: 'task',
  parameters: [taskParameter, todoParameter],
  options: [
    { name: 'text', value: anyText('text'), summary: '1 to 500 characters' },
    { name: 'major', summary: 'worth a checkpoint when done' },
    { name: 'minor', summary: 'not worth one' },
    versionOption,
  ],
  async run(context) {
    const { input } = context;
    if (input.flag('major') && input.flag('minor'))
      throw usageError('--major and --minor cannot be combined', 'Name one of them.', { argument: 'major' });
    const major = input.flag('major') ? true : input.flag('minor') ? false : undefined;
    return setTodo(context, given({ text: input.get<string>('text'), major }));
  },
  render: ({ todo }, style) => renderTodo('changed', todo, style),
};

async function setTodo(
  { input, services, call, session, task }: CommandContext,
  change: { readonly state?: TodoState; readonly text?: string; readonly major?: boolean },
): Promise<OneTodo> {
  const reference = idOf('todo').parse(input.text('todo'), 'todo') as string;
  const taskId = await task();
  const todoId = await findTodo(services, taskId, reference);
  const seen = given({ expectedVersion: input.get<number>('expected-version') });
  return { todo: await services.journal.setTodo(taskId, todoId, { ...session, ...change, ...seen }, call) };
}

function renderTodo(word: string, todo: Todo, style: Style): string {
  return `${style.good(word)} ${style.strong(shortId(todo.id))} ${oneLine(todo.text, 100)}`;
}

function paintState(state: TodoState, style: Style): (text: string) => string {
  if (state === 'done') return style.good;
  return state === 'active' ? style.strong : style.dim;
}
