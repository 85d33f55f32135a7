import { isUtf8 } from 'node:buffer';
import { type Message, type MessageRole, type Page, messageRoles, shortId } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { usageError } from '../arguments/usage-error.ts';
import { choice } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { readAll } from '../read-all.ts';
import { formatTime, lines, safeText } from '../render/format.ts';
import { pageOptions } from './list-tasks.ts';

export const messageAdd: Command<{ readonly message: Message }> = {
  name: 'message add',
  summary: 'keep a turn of a conversation with a task, so that it can be read and searched later',
  changes: 'task',
  parameters: [
    taskParameter,
    { name: 'text', summary: 'up to 100,000 characters; standard input when it is left out', optional: true },
  ],
  options: [{ name: 'role', value: choice('role', messageRoles), summary: 'who said it (default: user)' }],
  async run({ input, services, call, session, task, stdin }) {
    const role = input.get<MessageRole>('role') ?? 'user';
    const text = input.get<string>('text') ?? textOf(await readAll(stdin));
    return { message: await services.journal.addMessage(await task(), { ...session, role, text }, call) };
  },
  render: ({ message }, style) => `${style.good('added')} message ${style.strong(shortId(message.id))}`,
};

function textOf(bytes: Uint8Array): string {
  if (isUtf8(bytes)) return Buffer.from(bytes).toString('utf8').trimEnd();
  throw usageError('Standard input is not text', 'Give UTF-8.', { argument: 'text' });
}

export const messageList: Command<Page<Message>> = {
  name: 'message list',
  summary: 'list what was said in a task, newest first',
  parameters: [taskParameter],
  options: pageOptions,
  async run({ input, services, task }) {
    const page = given({ limit: input.get<number>('limit'), cursor: input.get<string>('cursor') });
    return services.journal.messages(await task(), page);
  },
  render({ items, next }, style) {
    if (items.length === 0) return style.dim('No messages.');
    const said = items.map(({ id, role, createdAt, text }) => {
      const head = style.dim(`${shortId(id)} ${role} ${formatTime(createdAt)}`);
      return `${head}\n${safeText(text ?? '')}`;
    });
    return lines(said.join('\n\n'), next !== null && style.dim(`More: --cursor ${next}`));
  },
  json: ({ items, next }) => ({ messages: items, next }),
};
