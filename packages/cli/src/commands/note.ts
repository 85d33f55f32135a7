import { type Note, shortId } from '@opencode-tools/core';
import { type Command, taskParameter } from '../command.ts';
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

export const noteList: Command<{ readonly notes: readonly Note[] }> = {
  name: 'note list',
  summary: 'list the notes of a task',
  parameters: [taskParameter],
  options: [],
  run: async ({ services, task }) => ({ notes: await services.journal.notes(await task()) }),
  render({ notes }, style) {
    if (notes.length === 0) return style.dim('No notes.');
    return notes
      .map(({ id, agent, createdAt, text }) => {
        const head = style.dim(`${shortId(id)} ${oneLine(agent)} ${formatTime(createdAt)}`);
        return `${head}\n${safeText(text)}`;
      })
      .join('\n\n');
  },
};
