import * as z from 'zod/v4';
import { defineTool } from '../tool.ts';
import { count, path, taskId } from './fields.ts';

/** OpenCode keeps only the head of a text past 2,000 lines or 51,200 bytes. */
const mostBytes = 40_000;
const mostLines = 1_800;

export const readFile = defineTool({
  name: 'read_file',
  title: 'Read a file of a task',
  description: 'Read a text file.',
  annotations: { readOnlyHint: true, idempotentHint: true },
  input: z.strictObject({
    task_id: taskId,
    path,
    first_line: z.int().min(1).max(1_000_000_000).optional(),
    line_count: z.int().min(1).max(mostLines).optional(),
  }),
  output: z.object({
    path: z.string(),
    text: z.string(),
    size_bytes: count,
    digest: z.string().optional(),
    first_line: count,
    truncated: z.boolean(),
  }),
  async run({ task_id, path: at, first_line: first = 1, line_count = mostLines }, context) {
    const id = await context.taskId(task_id);
    const call = await context.call({});
    const range = { unit: 'lines', first, count: line_count } as const;
    const options = {
      path: at,
      range,
      limitBytes: mostBytes,
    };
    const got = await context.home.services.files.read(id, options, call);
    const text = Buffer.from(got.bytes).toString('utf8');
    const data = {
      path: got.path.toWellFormed(),
      text,
      size_bytes: got.sizeBytes,
      ...(got.digest === null ? {} : { digest: got.digest }),
      first_line: first,
      truncated: got.truncated,
    };
    const lines = text === '' ? 0 : text.replace(/\n$/, '').split('\n').length;
    const rest = got.truncated ? `, goes on after line ${first + lines - 1}` : '';
    const odd = text.includes('\ufffd') ? ', not all of it is text' : '';
    return {
      text: `${data.path}: ${data.size_bytes} bytes, lines ${first} to ${first + lines - 1}${rest}${odd}\n${text}`,
      data,
    };
  },
});
