import { type FoundMemory, type MemoryKind, memoryKinds, shortId } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { choice, integer } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { formatTime, lines, oneLine } from '../render/format.ts';
import { table } from '../render/table.ts';

export const taskSearch: Command<FoundMemory> = {
  name: 'task-search',
  summary: 'find words in the decisions, todos, notes, messages and commands of a task, newest first',
  notes: [
    'All words have to be there, in any order; each is found where a word starts with it. `find-task` looks through all tasks.',
  ],
  parameters: [taskParameter, { name: 'text', summary: 'words to look for', variadic: true }],
  options: [
    { name: 'kind', value: choice('kind', memoryKinds), repeatable: true, summary: 'only these' },
    { name: 'limit', value: integer('count', 1, 200), summary: 'how many at most (default: 20)' },
  ],
  async run({ input, services, task }) {
    const narrowed = given({ kinds: input.get<readonly MemoryKind[]>('kind'), limit: input.get<number>('limit') });
    return services.journal.search(await task(), { text: input.list('text').join(' '), ...narrowed });
  },
  render({ hits, more }, style) {
    if (hits.length === 0) return style.dim('Nothing has these words.');
    const rows = table(
      hits,
      [
        { title: 'KIND', text: ({ kind }) => kind },
        { title: 'ID', text: ({ id }) => shortId(id) },
        { title: 'AT', text: ({ at }) => formatTime(at) },
        { title: 'BY', text: ({ by }) => oneLine(by, 20) },
        { title: 'TEXT', text: ({ excerpt }) => oneLine(excerpt) },
      ],
      style,
    );
    return lines(rows, more && style.dim('There is more: name more words, or a higher --limit.'));
  },
};
