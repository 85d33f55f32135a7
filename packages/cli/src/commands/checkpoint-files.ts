import { resolve } from 'node:path';
import { type CheckpointExport, type ImportedCheckpoint, shortId } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { text } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { formatBytes, lines, oneLine } from '../render/format.ts';
import { openSource } from './open-source.ts';
import { writeWhole } from './write-whole.ts';

interface Exported extends Pick<CheckpointExport, 'checkpoint' | 'root' | 'notices'> {
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
  render: ({ file, sizeBytes, checkpoint, root, notices = [] }, style) =>
    lines(
      `${style.good('exported')} ${shortId(checkpoint.id)} ${oneLine(checkpoint.name)} to ${oneLine(file, 4_096)} (${formatBytes(sizeBytes)})`,
      root === 'left-out' && style.warning('what was installed into the root file system is not in the file'),
      ...notices.map((notice) => style.warning(oneLine(notice, 1_000))),
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
