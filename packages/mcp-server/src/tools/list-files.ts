import * as z from 'zod/v4';
import { defineTool } from '../tool.ts';
import { count, path, taskId } from './fields.ts';

const mostEntries = 1_000;

export const listFiles = defineTool({
  name: 'list_files',
  title: 'List files of a task',
  description: 'List a directory; with glob, find files below it.',
  annotations: { readOnlyHint: true, idempotentHint: true },
  input: z.strictObject({
    task_id: taskId,
    path: path.optional(),
    glob: z.string().min(1).max(1_000).optional().describe('Such as src/**/*.ts'),
    depth: z.int().min(1).max(64).optional(),
    after: z.string().max(4_096).optional(),
  }),
  output: z.object({ path: z.string(), paths: z.array(z.string()), total: count.optional(), truncated: z.boolean() }),
  async run({ task_id, path: at, glob, depth, after }, context) {
    const id = await context.taskId(task_id);
    const call = await context.call({});
    const where = {
      limit: mostEntries,
      ...(at === undefined ? {} : { path: at }),
    };
    const { files } = context.home.services;
    if (glob !== undefined) {
      const found = await files.find(id, { glob, ...where }, call);
      const data = { path: found.path.toWellFormed(), paths: found.paths.map(shown), truncated: found.truncated };
      return { text: textOf(data, data.truncated ? 'There are more; narrow the glob.' : ''), data };
    }
    const more = { ...(depth === undefined ? {} : { depth }), ...(after === undefined ? {} : { after }) };
    const { path: listed, entries, total, next } = await files.list(id, { ...where, ...more }, call);
    const marks: Readonly<Record<string, string>> = { directory: '/', symlink: '@', file: '' };
    const paths = entries.map((entry) => `${shown(entry.path)}${marks[entry.type] ?? '?'}`);
    const data = { path: listed.toWellFormed(), paths, total, truncated: next !== null };
    const rest = next === null ? '' : `${entries.length} of ${total}; go on with after: ${JSON.stringify(shown(next))}`;
    return { text: textOf(data, rest), data };
  },
});

/** A name with a line break in it stays on its line. */
function shown(name: string): string {
  return name.toWellFormed().replaceAll('\n', '\\n');
}

function textOf(
  { path: at, paths }: { readonly path: string; readonly paths: readonly string[] },
  rest: string,
): string {
  return [paths.length === 0 ? `Nothing in ${at}.` : `${at}:`, ...paths, ...(rest === '' ? [] : [rest])].join('\n');
}

export const searchFiles = defineTool({
  name: 'search_files',
  title: 'Search files of a task',
  description: 'Find lines with a text in files.',
  annotations: { readOnlyHint: true, idempotentHint: true },
  input: z.strictObject({
    task_id: taskId,
    pattern: z.string().min(1).max(10_000),
    regex: z.boolean().optional().describe('POSIX extended'),
    ignore_case: z.boolean().optional(),
    path: path.optional(),
    glob: z.string().min(1).max(1_000).optional(),
    limit: z.int().min(1).max(1_000).optional(),
  }),
  output: z.object({
    path: z.string(),
    matches: z.array(z.object({ path: z.string(), line: count, text: z.string() })),
    truncated: z.boolean(),
  }),
  async run({ task_id, pattern, regex, ignore_case, path: at, glob, limit = 200 }, context) {
    const id = await context.taskId(task_id);
    const call = await context.call({});
    const found = await context.home.services.files.search(
      id,
      {
        pattern,
        kind: regex === true ? 'regex' : 'literal',
        ignoreCase: ignore_case === true,
        limit,
        ...(at === undefined ? {} : { path: at }),
        ...(glob === undefined ? {} : { glob }),
      },
      call,
    );
    const matches = found.matches.map((match) => ({
      ...match,
      path: shown(match.path),
      text: match.text.slice(0, 300),
    }));
    const data = { path: found.path.toWellFormed(), matches, truncated: found.truncated };
    const lines = matches.map(({ path: file, line, text }) => `${file}:${line}:${text}`);
    const rest = found.truncated ? ['There is more; narrow the search.'] : [];
    return { text: [...(lines.length === 0 ? ['No line holds it.'] : lines), ...rest].join('\n'), data };
  },
});
