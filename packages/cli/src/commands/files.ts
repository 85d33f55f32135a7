import type {
  FileDescription,
  FileEdited,
  FileEntry,
  FileList,
  FileWritten,
  FoundFiles,
  FoundText,
} from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { quoted, usageError } from '../arguments/usage-error.ts';
import { integer, text } from '../arguments/values.ts';
import { type Command, type CommandParameter, taskParameter } from '../command.ts';
import { readAll } from '../read-all.ts';
import { formatBytes, formatTime, lines, safeText, shownPath } from '../render/format.ts';
import type { Style } from '../render/style.ts';
import { type Column, table } from '../render/table.ts';
import { renderChange } from './change-files.ts';

const where: CommandParameter = { name: 'path', summary: 'relative to the workspace, or absolute', optional: true };
const file: CommandParameter = { ...where, optional: false };
const limit = { name: 'limit', value: integer('count', 1, 10_000), summary: 'how many at most (default: 1000)' };

export const filesLs: Command<FileList> = {
  name: 'files ls',
  summary: 'list files in the sandbox of a task',
  parameters: [taskParameter, where],
  options: [
    { name: 'depth', value: integer('count', 1, 64), summary: 'levels of directories (default: 1)' },
    limit,
    { name: 'after', value: text('path'), summary: 'go on after this entry' },
  ],
  async run({ services, input, call, task }) {
    const path = input.get<string>('path');
    const more = {
      depth: input.get<number>('depth'),
      limit: input.get<number>('limit'),
      after: input.get<string>('after'),
    };
    return services.files.list(await task(), given({ path, ...more }), call);
  },
  render({ entries, total, next }, style) {
    const rest = next === null ? '' : style.dim(`${entries.length} of ${total}; go on with --after ${quoted(next)}`);
    return entries.length === 0 ? style.dim('Empty.') : lines(table(entries, columns, style), rest);
  },
};

export const filesStat: Command<FileDescription> = {
  name: 'files stat',
  summary: 'show kind, mode, owner, size and time of one path in the sandbox, and where a link leads',
  parameters: [taskParameter, file],
  options: [],
  run: async ({ services, input, call, task }) => services.files.stat(await task(), { path: input.text('path') }, call),
  render(found, style) {
    const { target, real } = found;
    const leads = real === null ? style.warning('which does not exist') : `to ${shownPath(real)}`;
    return lines(
      table([found], columns, style),
      `owner ${found.uid}:${found.gid}, ${found.sizeBytes} bytes`,
      target !== null && `link to ${shownPath(target)}, ${leads}`,
    );
  },
};

const columns: readonly Column<FileEntry>[] = [
  { title: 'mode', text: ({ type, mode }) => `${typeLetter(type)}${mode.toString(8).padStart(4, '0')}` },
  { title: 'size', text: ({ type, sizeBytes }) => (type === 'file' ? formatBytes(sizeBytes) : '') },
  { title: 'changed', text: ({ modifiedMs }) => formatTime(new Date(modifiedMs).toISOString()) },
  { title: 'path', text: ({ path, type }) => `${shownPath(path)}${type === 'directory' ? '/' : ''}` },
];

function typeLetter(type: string): string {
  return { file: '-', directory: 'd', symlink: 'l', fifo: 'p', socket: 's' }[type] ?? 'c';
}

export const filesCat: Command<{
  readonly path: string;
  readonly sizeBytes: number;
  readonly digest: string | null;
  readonly base64?: string;
}> = {
  name: 'files cat',
  summary: 'print a file of the sandbox, byte for byte',
  notes: ['With --json the content is base64.'],
  parameters: [taskParameter, file],
  options: [],
  async run({ services, input, call, task, terminal, json }) {
    const taskId = await task();
    const path = input.text('path');
    const length = 8 * 1024 ** 2;
    const chunks: Uint8Array[] = [];
    const first = await services.files.read(taskId, { path, limitBytes: length }, call);
    let { bytes, truncated } = first;
    for (let offset = 0; ;) {
      if (json) chunks.push(bytes);
      else await terminal.pass('stdout', bytes);
      offset += bytes.length;
      if (!truncated) break;
      const range = { unit: 'bytes', offset, length: length + 1 } as const;
      ({ bytes, truncated } = await services.files.read(
        taskId,
        { path, range, limitBytes: length, withDigest: false },
        call,
      ));
    }
    const { path: at, sizeBytes, digest } = first;
    return { path: at, sizeBytes, digest, ...(json ? { base64: Buffer.concat(chunks).toString('base64') } : {}) };
  },
  render: () => '',
};

export const filesWrite: Command<FileWritten> = {
  name: 'files write',
  summary: 'write standard input, or --text, to a file of the sandbox, whole or not at all',
  changes: 'task',
  parameters: [taskParameter, file],
  options: [
    { name: 'text', value: text('text'), summary: 'write this instead of standard input' },
    { name: 'mode', value: text('octal'), summary: 'permissions, such as 755' },
    { name: 'create', summary: 'refuse when it exists' },
    { name: 'expect', value: text('digest'), summary: 'refuse unless its SHA-256 is this' },
  ],
  async run({ services, input, call, session, task, stdin }) {
    const digest = input.get<string>('expect');
    if (digest !== undefined && input.flag('create'))
      throw usageError('--create and --expect cannot be combined', 'Leave one of them out.', { argument: '--create' });
    const expect = input.flag('create')
      ? ({ kind: 'absent' } as const)
      : digest === undefined
        ? undefined
        : ({ kind: 'digest', digest } as const);
    const words = input.get<string>('text');
    const content = words === undefined ? await readAll(stdin) : Buffer.from(words);
    const options = {
      ...session,
      path: input.text('path'),
      content,
      ...given({ mode: modeOf(input.get<string>('mode')), expect }),
    };
    return services.files.write(await task(), options, call);
  },
  render: (written, style) =>
    renderChange(written, style, `${written.created ? 'created' : 'replaced'} ${formatBytes(written.sizeBytes)}`),
};

function modeOf(words: string | undefined): number | undefined {
  if (words === undefined) return undefined;
  if (/^[0-7]{3,4}$/.test(words)) return Number.parseInt(words, 8);
  throw usageError(`--mode cannot be ${quoted(words)}`, 'Use three or four octal digits, such as 755.', {
    argument: '--mode',
  });
}

export const filesEdit: Command<FileEdited> = {
  name: 'files edit',
  summary: 'replace text in a file of the sandbox; nothing changes unless it occurs as often as said',
  changes: 'task',
  parameters: [taskParameter, file],
  options: [
    { name: 'old', value: text('text'), summary: 'text that is there, exactly' },
    { name: 'new', value: text('text'), summary: 'text to put in its place' },
    { name: 'count', value: integer('count', 1, 1_000_000), summary: 'how often it occurs (default: 1)' },
    { name: 'all', summary: 'however often it occurs' },
    { name: 'expect', value: text('digest'), summary: 'refuse unless the SHA-256 of the file is this' },
  ],
  async run({ services, input, call, session, task }) {
    const [oldText, newText] = [input.get<string>('old'), input.get<string>('new')];
    if (oldText === undefined || newText === undefined)
      throw usageError('--old and --new are needed', 'Say what to replace, and by what.', { argument: '--old' });
    const count = input.flag('all') ? 'all' : (input.get<number>('count') ?? 1);
    const expected = given({ expectedDigest: input.get<string>('expect') });
    const options = {
      ...session,
      path: input.text('path'),
      edits: [{ oldText, newText, count }],
      ...expected,
    } as const;
    return services.files.edit(await task(), options, call);
  },
  render: (edited, style) => renderChange(edited, style, `${edited.replaced} replaced in`),
};

export const filesFind: Command<FoundFiles> = {
  name: 'files find',
  summary: 'find files of the sandbox by name; .git and node_modules are left out',
  parameters: [taskParameter, { name: 'glob', summary: 'such as "src/**/*.ts"' }, where],
  options: [limit],
  async run({ services, input, call, task }) {
    const options = given({ path: input.get<string>('path'), limit: input.get<number>('limit') });
    return services.files.find(await task(), { glob: input.text('glob'), ...options }, call);
  },
  render: ({ paths, truncated }, style) => lines(...paths.map(shownPath), more(truncated, style)),
};

export const filesSearch: Command<FoundText> = {
  name: 'files search',
  summary: 'find lines in files of the sandbox; .git, node_modules and binary files are left out',
  parameters: [taskParameter, { name: 'pattern', summary: 'text, or with --regex an expression' }, where],
  options: [
    { name: 'regex', summary: 'the pattern is an extended regular expression' },
    { name: 'ignore-case', short: 'i', summary: 'upper and lower case are the same' },
    { name: 'glob', value: text('glob'), summary: 'only in files that this covers' },
    { ...limit, summary: 'how many lines at most (default: 200)' },
  ],
  async run({ services, input, call, task }) {
    const options = given({
      path: input.get<string>('path'),
      glob: input.get<string>('glob'),
      limit: input.get<number>('limit'),
    });
    const kind = input.flag('regex') ? 'regex' : 'literal';
    const pattern = input.text('pattern');
    return services.files.search(
      await task(),
      { pattern, kind, ignoreCase: input.flag('ignore-case'), ...options },
      call,
    );
  },
  render: ({ matches, truncated }, style) =>
    lines(
      ...matches.map(({ path, line, text: found }) => `${shownPath(path)}${style.dim(`:${line}:`)}${safeText(found)}`),
      more(truncated, style),
    ),
};

function more(truncated: boolean, style: Style): string {
  return truncated ? style.dim('There is more; raise --limit or narrow the search.') : '';
}
