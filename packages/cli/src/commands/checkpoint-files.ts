import { randomBytes } from 'node:crypto';
import { link, open, rm, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type CheckpointExport, type ImportedCheckpoint, OpencodeToolsError, shortId } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { quoted } from '../arguments/usage-error.ts';
import { text } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { formatBytes, lines, oneLine } from '../render/format.ts';
import { openSource } from './open-source.ts';

interface Exported extends Pick<CheckpointExport, 'checkpoint' | 'root'> {
  readonly file: string;
  readonly sizeBytes: number;
}

export const checkpointsExport: Command<Exported> = {
  name: 'checkpoints export',
  summary: 'write a checkpoint into one file, for another machine or kind of workspace',
  notes: [
    'The file is a tar with the workspace and the home directory, whatever secrets lie there included. What was installed into the root file system comes along as a whole image. A file that exists is not replaced.',
  ],
  parameters: [
    taskParameter,
    { name: 'checkpoint', summary: 'full id, short id, tag or name' },
    { name: 'file', summary: 'to write' },
  ],
  options: [{ name: 'without-root', summary: 'leave out what was installed into the root file system' }],
  async run({ input, services, task, call, cwd }) {
    const file = resolve(cwd, input.text('file'));
    const options = { root: !input.flag('without-root') };
    const { stream, ...rest } = await services.checkpoints.export(
      await task(),
      input.text('checkpoint'),
      options,
      call,
    );
    return { file, sizeBytes: await writeWhole(file, stream), ...rest };
  },
  render: ({ file, sizeBytes, checkpoint, root }, style) =>
    lines(
      `${style.good('exported')} ${shortId(checkpoint.id)} ${oneLine(checkpoint.name)} to ${oneLine(file, 4_096)} (${formatBytes(sizeBytes)})`,
      root === 'left-out' && style.warning('what was installed into the root file system is not in the file'),
    ),
};

export const checkpointsImport: Command<ImportedCheckpoint> = {
  name: 'checkpoints import',
  summary: 'make a checkpoint of a task from an exported one; restore it to bring it into the workspace',
  notes: [
    'All of it or nothing: a file that is cut off, changed, or leads out of its trees is refused. A root file system in it is an image that somebody made: take it in from those whose images you run.',
  ],
  changes: 'task',
  parameters: [taskParameter, { name: 'file', summary: 'what checkpoints export wrote; - for stdin' }],
  options: [
    { name: 'name', value: text('name'), summary: '1 to 100 characters (default: the exported one)' },
    { name: 'with-root', summary: 'take in what was installed into the root file system, too' },
  ],
  async run({ input, services, task, session, call, cwd, stdin }) {
    const options = { ...session, ...given({ name: input.get<string>('name') }), root: input.flag('with-root') };
    const file = input.text('file');
    if (file === '-') {
      const bytes = stdin as AsyncIterable<Uint8Array>;
      return services.checkpoints.import(await task(), bytes, options, call);
    }
    await using source = await openSource(file, cwd, 'opencode-tools checkpoints export');
    const stream = source.createReadStream({ autoClose: false, highWaterMark: 1024 ** 2 }) as AsyncIterable<Uint8Array>;
    return await services.checkpoints.import(await task(), stream, options, call);
  },
  render: ({ checkpoint, rootLeftOut }, style) =>
    lines(
      `${style.good('imported')} ${style.strong(shortId(checkpoint.id))} ${oneLine(checkpoint.name)}`,
      style.dim(checkpoint.id),
      rootLeftOut && style.warning('the root file system in the file was left out; --with-root takes it in'),
    ),
};

/** Writes beside, and gives the file its name when it is whole; one that exists stays. */
async function writeWhole(file: string, stream: AsyncIterable<Uint8Array>): Promise<number> {
  if (await exists(file)) throw taken(file);
  const beside = `${file}.${randomBytes(6).toString('hex')}.part`;
  const out = await open(beside, 'wx', 0o600).catch((cause: unknown) => {
    throw notWritten(file, cause);
  });
  try {
    let sizeBytes = 0;
    for await (const bytes of stream) {
      await out.writeFile(bytes);
      sizeBytes += bytes.length;
    }
    await out.sync();
    await link(beside, file).catch((cause: unknown) => {
      throw isErrno(cause, 'EEXIST') ? taken(file) : notWritten(file, cause);
    });
    return sizeBytes;
  } catch (cause) {
    throw cause instanceof Error && 'errno' in cause ? notWritten(file, cause) : cause;
  } finally {
    await out.close();
    await rm(beside, { force: true });
  }
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function taken(file: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The file ${quoted(file)} exists`, {
    remedy: 'Name one that does not exist.',
    details: { argument: 'file' },
  });
}

function notWritten(file: string, cause: unknown): OpencodeToolsError {
  if (isErrno(cause, 'ENOSPC') || isErrno(cause, 'EDQUOT')) {
    return new OpencodeToolsError('OCT_RESOURCE_LIMIT', `There is no room left for the file ${quoted(file)}`, {
      remedy: 'Make room on the disk, then try again; nothing of it was left there.',
      details: { limit: 'disk', file },
      cause,
    });
  }
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The file ${quoted(file)} cannot be written`, {
    remedy: `Check that ${quoted(dirname(file))} is a directory that may be written and has room.`,
    details: { argument: 'file' },
    cause,
  });
}
