import { printable } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { redactHandles } from '../redact-handles.ts';
import { defineTool } from '../tool.ts';
import { taskId } from './fields.ts';

export const searchTaskMemory = defineTool({
  name: 'search_task_memory',
  title: 'Search what was done and said',
  description: 'Find decisions, todos, notes, messages, commands by words.',
  annotations: { readOnlyHint: true, idempotentHint: true },
  input: z.strictObject({
    task_id: taskId,
    text: z.string().min(1).max(1_000),
    limit: z.int().min(1).max(200).optional(),
  }),
  output: z.object({
    hits: z.array(z.object({ kind: z.string(), id: z.string(), at: z.string(), by: z.string(), excerpt: z.string() })),
    more: z.boolean(),
  }),
  async run({ task_id, text, limit }, context) {
    const id = await context.taskId(task_id);
    const query = { text, ...(limit === undefined ? {} : { limit }) };
    const { hits, more } = redactHandles(await context.home.services.journal.search(id, query));
    const found = hits.map((hit) => `${hit.kind} ${hit.id} ${hit.at} by ${hit.by}: ${printable(hit.excerpt)}`);
    const rest = more ? ['There is more; name more words, or a higher limit.'] : [];
    const lines = found.length === 0 ? ['Nothing has these words.'] : [...found, ...rest];
    return { text: lines.join('\n'), data: { hits: [...hits], more } };
  },
});
