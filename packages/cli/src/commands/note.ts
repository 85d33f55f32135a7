import { type Note, shortId } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { expectedVersion, idOf } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { findNote } from '../find-by-short-id.ts';
import { formatTime, oneLine, safeText } from '../render/format.ts';

export const noteAdd: Command<{ readonly note: Note }> = {
  name: 'note add',
  summary: 'add a note to a task',
  changes: 'task',
  parameters: [taskParameter, { name: 'text', summary: 'up to 20,000 characters' }],
  options: [],
  async run({ input, services, call, session, task }) {
    return { note: await services.journal.addNote(await task(), { ...session, text: input.text('text') }, call) };
  },
  render: ({ note }, style) => `${style.good('added')} note ${style.strong(shortId(note.id))}`,
};

export const noteEdit: Command<{ readonly note: Note }> = {
  name: 'note edit',
  summary: 'replace the text of a note',
  changes: 'task',
  parameters: [
    taskParameter,
    { name: 'note', summary: 'full or short id' },
    { name: 'text', summary: 'up to 20,000 characters' },
  ],
  options: [
    {
      name: 'expected-version',
      value: expectedVersion(),
      summary: 'version that you saw; has it gone on, the task’s conflict strategy decides',
    },
  ],
  async run({ input, services, call, session, task }) {
    const reference = idOf('note').parse(input.text('note'), 'note') as string;
    const taskId = await task();
    const noteId = await findNote(services, taskId, reference);
    const seen = given({ expectedVersion: input.get<number>('expected-version') });
    const change = { ...session, text: input.text('text'), ...seen };
    return { note: await services.journal.setNote(taskId, noteId, change, call) };
  },
  render: ({ note }, style) =>
    `${style.good('changed')} note ${style.strong(shortId(note.id))} ${style.dim(`(version ${note.version})`)}`,
};

export const noteList: Command<{ readonly notes: readonly Note[] }> = {
  name: 'note list',
  summary: 'list the notes of a task',
  parameters: [taskParameter],
  options: [],
  run: async ({ services, task }) => ({ notes: await services.journal.notes(await task()) }),
  render({ notes }, style) {
    if (notes.length === 0) return style.dim('No notes.');
    return notes
      .map(({ id, agent, createdAt, version, text }) => {
        const head = style.dim(
          `${shortId(id)} ${oneLine(agent)} ${formatTime(createdAt)}${version > 1 ? ` version ${version}` : ''}`,
        );
        return `${head}\n${safeText(text)}`;
      })
      .join('\n\n');
  },
};
