import { basename, dirname, resolve } from 'node:path';
import { stat } from 'node:fs/promises';
import {
  type FileChanged,
  type FileDescription,
  type TaskId,
  type UnpackReport,
  isOpencodeToolsError,
} from '@opencode-tools/core';
import { quoted, usageError } from '../arguments/usage-error.ts';
import { type Command, type CommandContext, type CommandParameter, taskParameter } from '../command.ts';
import { formatBytes, lines, oneLine, shownPath } from '../render/format.ts';
import type { Style } from '../render/style.ts';

const path: CommandParameter = { name: 'path', summary: 'relative to the workspace, or absolute' };

export const filesRm: Command<FileChanged> = {
  name: 'files rm',
  summary: 'remove a file or directory of the sandbox',
  changes: 'task',
  parameters: [taskParameter, path],
  options: [{ name: 'recursive', short: 'r', summary: 'a directory with all in it' }],
  async run({ services, input, call, session, task }) {
    const options = { ...session, path: input.text('path'), recursive: input.flag('recursive') };
    return services.files.remove(await task(), options, call);
  },
  render: (changed, style) => renderChange(changed, style, 'removed'),
};

export const filesMv: Command<FileChanged> = {
  name: 'files mv',
  summary: 'rename a file or directory of the sandbox',
  changes: 'task',
  parameters: [taskParameter, path, { name: 'to', summary: 'its new path' }],
  options: [{ name: 'replace', summary: 'also when there is a file of that name' }],
  async run({ services, input, call, session, task }) {
    const options = { ...session, path: input.text('path'), to: input.text('to'), replace: input.flag('replace') };
    return services.files.move(await task(), options, call);
  },
  render: (changed, style) => renderChange(changed, style, 'moved to'),
};

export const filesMkdir: Command<FileChanged> = {
  name: 'files mkdir',
  summary: 'make a directory in the sandbox, and those above it',
  changes: 'task',
  parameters: [taskParameter, path],
  options: [],
  run: async ({ services, input, call, session, task }) =>
    services.files.makeDirectory(await task(), { ...session, path: input.text('path') }, call),
  render: (changed, style) => renderChange(changed, style, 'made'),
};

/** What was done, and what the caller should know besides. */
export function renderChange(
  { path: at, outsideClaims, notices = [] }: FileChanged,
  style: Style,
  verb: string,
): string {
  const outside = outsideClaims?.paths ?? [];
  const warning = outside.length === 0 ? '' : style.warning(`outside the claims: ${outside.map(shownPath).join(', ')}`);
  return lines(...notices, `${style.good(verb)} ${shownPath(at)}`, warning);
}

interface Copied {
  readonly from: string;
  readonly to: string;
  readonly sizeBytes: number;
  readonly skipped: UnpackReport['skipped'];
}

export const cp: Command<Copied> = {
  name: 'cp',
  summary: 'copy files between this machine and the sandbox of a task',
  notes: [
    'One of the two is TASK:PATH, where PATH is relative to the workspace or absolute. What exists as a directory is copied into. Modes and symbolic links stay; a link that leaves what is copied is not made on this machine.',
  ],
  changes: 'task',
  parameters: [
    { name: 'from', summary: 'a path, or TASK:PATH' },
    { name: 'to', summary: 'a path, or TASK:PATH' },
  ],
  options: [],
  async run(context) {
    const [from, to] = [context.input.text('from'), context.input.text('to')];
    if (!isInSandbox(from) && isInSandbox(to)) return copyIn(context, from, await findPlace(context, to));
    if (isInSandbox(from) && !isInSandbox(to)) return copyOut(context, await findPlace(context, from), to);
    throw usageError('One of the two is in a sandbox, the other on this machine', 'Write it as TASK:PATH.', {
      argument: 'from',
    });
  },
  render: ({ to, sizeBytes, skipped }, style) =>
    lines(
      `${style.good('copied')} ${formatBytes(sizeBytes)} to ${shownPath(to)}`,
      ...skipped.map(({ path: at, reason }) => style.warning(`left out ${shownPath(at)}: ${oneLine(reason)}`)),
    ),
};

interface Place {
  readonly taskId: TaskId;
  readonly task: string;
  readonly path: string;
}

/** A colon after a slash, as in `./a:b`, belongs to the name. */
function isInSandbox(text: string): boolean {
  return /^[^/:]+:/.test(text);
}

/** The first colon ends the task, or, where no task is called so, a later one: titles may have colons. */
async function findPlace({ services }: CommandContext, text: string): Promise<Place> {
  let first: unknown;
  for (let colon = text.indexOf(':'); colon !== -1; colon = text.indexOf(':', colon + 1)) {
    const task = text.slice(0, colon);
    try {
      return { taskId: await services.tasks.resolve(task), task, path: text.slice(colon + 1) || '.' };
    } catch (error) {
      first ??= error;
      if (!isOpencodeToolsError(error, 'OCT_TASK_NOT_FOUND')) break;
    }
  }
  throw first;
}

async function copyIn(context: CommandContext, from: string, { taskId, task, path: to }: Place): Promise<Copied> {
  const { services, home, call, session, cwd } = context;
  const source = resolve(cwd, from);
  const target = await describe(context, taskId, to);
  const into = target?.type === 'directory' || to.endsWith('/');
  const [directory, name] = into ? [to, basename(source)] : [dirname(to), basename(to)];
  const tar = home.hostFiles.pack(source, name, call.signal);
  const { sizeBytes } = await services.files.copyIn(taskId, { ...session, path: directory, tar }, call);
  return { from: source, to: `${task}:${into ? `${to.replace(/\/$/, '')}/${name}` : to}`, sizeBytes, skipped: [] };
}

async function copyOut(context: CommandContext, { taskId, task, path: from }: Place, to: string): Promise<Copied> {
  const { services, home, call, session, cwd } = context;
  const { path: source } = await services.files.stat(taskId, { ...session, path: from }, call);
  const target = resolve(cwd, to);
  const into = await stat(target).then(
    (facts) => facts.isDirectory(),
    () => false,
  );
  const directory = into ? target : dirname(target);
  const name = into ? basename(source) : basename(target);
  if (name === '' || name === '.' || name === '..')
    throw usageError(`${quoted(to)} has no name for the copy`, 'Name the copy.', { argument: 'to' });
  const take = async (tar: AsyncIterable<Uint8Array>) => home.hostFiles.unpack(tar, directory, name, call.signal);
  const { sizeBytes, skipped } = await services.files.copyOut(taskId, { ...session, path: from, take }, call);
  return { from: `${task}:${from}`, to: `${directory}/${name}`, sizeBytes, skipped };
}

async function describe(
  { services, call, session }: CommandContext,
  taskId: TaskId,
  at: string,
): Promise<FileDescription | undefined> {
  try {
    return await services.files.stat(taskId, { ...session, path: at }, call);
  } catch (error) {
    if (isOpencodeToolsError(error, 'OCT_FILE_NOT_FOUND')) return undefined;
    throw error;
  }
}
