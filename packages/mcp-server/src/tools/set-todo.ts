import { type Todo, parseId, todoStates } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { defineTool } from '../tool.ts';
import { misplaced } from '../misplaced.ts';
import { count, expectedVersion, optionalSessionId, taskId, unlistedKey } from './fields.ts';

export const todoOutput = z.object({
  todo_id: z.string(),
  text: z.string(),
  state: z.string(),
  major: z.boolean(),
  version: count,
});

export const setTodo = defineTool({
  name: 'set_todo',
  title: 'Add or change a todo',
  description: 'Add a todo; with todo_id change one.',
  input: z.strictObject({
    task_id: taskId,
    session_id: optionalSessionId,
    todo_id: z
      .string()
      .max(60)
      .transform((text) => parseId('todo', text))
      .optional(),
    text: z.string().min(1).max(500).optional(),
    state: z.enum(todoStates).optional(),
    major: z.boolean().optional(),
    expected_version: expectedVersion,
    idempotency_key: unlistedKey,
  }),
  output: todoOutput,
  async run(args, context) {
    const id = await context.taskId(args.task_id, args.idempotency_key);
    const call = await context.call({ sessionId: args.session_id }, args.idempotency_key);
    const { journal } = context.home.services;
    const common = {
      ...(args.session_id === undefined ? {} : { sessionId: args.session_id }),
      ...(args.major === undefined ? {} : { major: args.major }),
    };
    if (args.todo_id === undefined) {
      assertNew(args);
      return answer('Added', await journal.addTodo(id, { ...common, text: args.text ?? '' }, call));
    }
    const change = {
      ...common,
      ...(args.text === undefined ? {} : { text: args.text }),
      ...(args.state === undefined ? {} : { state: args.state }),
      ...(args.expected_version === undefined ? {} : { expectedVersion: args.expected_version }),
    };
    return answer('Changed', await journal.setTodo(id, args.todo_id, change, call));
  },
});

export function todoData({ id, text, state, major, version }: Todo) {
  return { todo_id: id, text, state, major, version };
}

function assertNew(args: { readonly state?: unknown; readonly expected_version?: unknown }): void {
  const extra = (['state', 'expected_version'] as const).find((name) => args[name] !== undefined);
  if (extra !== undefined) throw misplaced(extra, 'Name the todo by todo_id as well.');
}

function answer(done: string, todo: Todo) {
  return { text: `${done} ${todo.id}, ${todo.state}, version ${todo.version}.`, data: todoData(todo) };
}
