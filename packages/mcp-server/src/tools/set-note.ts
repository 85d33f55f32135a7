import { type Note, parseId } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { misplaced } from '../misplaced.ts';
import { defineTool } from '../tool.ts';
import { count, expectedVersion, optionalSessionId, taskId, unlistedKey } from './fields.ts';

export const setNote = defineTool({
  name: 'set_note',
  title: 'Add or change a note',
  description: 'Add a note; with note_id replace one.',
  input: z.strictObject({
    task_id: taskId,
    session_id: optionalSessionId,
    note_id: z
      .string()
      .max(60)
      .transform((text) => parseId('note', text))
      .optional(),
    text: z.string().min(1).max(20_000),
    expected_version: expectedVersion,
    idempotency_key: unlistedKey,
  }),
  output: z.object({ note_id: z.string(), version: count }),
  async run(args, context) {
    const id = await context.taskId(args.task_id, args.idempotency_key);
    const call = await context.call({ sessionId: args.session_id }, args.idempotency_key);
    const { journal } = context.home.services;
    const note = { text: args.text, ...(args.session_id === undefined ? {} : { sessionId: args.session_id }) };
    const { note_id: noteId, expected_version: version } = args;
    if (noteId === undefined) {
      if (version !== undefined) throw misplaced('expected_version', 'Name the note by note_id as well.');
      return answer('Added', await journal.addNote(id, note, call));
    }
    const change = { ...note, ...(version === undefined ? {} : { expectedVersion: version }) };
    return answer('Changed', await journal.setNote(id, noteId, change, call));
  },
});

function answer(done: string, { id, version }: Note) {
  return { text: `${done} ${id}, version ${version}.`, data: { note_id: id, version } };
}
