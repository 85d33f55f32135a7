import { resolve } from 'node:path';
import { type ExportedMemory, type ImportedMemory, shortId } from '@opencode-tools/core';
import { type Command, taskParameter } from '../command.ts';
import { lines, plural, shownPath } from '../render/format.ts';

export const taskMemoryExport: Command<ExportedMemory> = {
  name: 'task-memory export',
  summary: 'write the memory of a task into a repository folder, to be committed and read there',
  notes: [
    'It goes into .task-memory/<task id>: ledger, state, todos, notes, decisions, and how commands ended, one fact a line. The same state gives the same bytes. Outputs of commands and checkpoints stay in the home.',
  ],
  parameters: [
    taskParameter,
    { name: 'directory', summary: 'the folder of the repository (default: the current one)', optional: true },
  ],
  options: [],
  run: async ({ home, input, task, cwd }) =>
    home.store.exportMemory(await task(), resolve(cwd, input.get<string>('directory') ?? '.')),
  render({ taskId, path, changed, head }, style) {
    const done = changed ? style.good('exported') : style.dim('unchanged');
    return lines(`${done} ${style.strong(shortId(taskId))} up to record ${head.seq}`, shownPath(path));
  },
};

export const taskMemoryImport: Command<{ readonly tasks: readonly ImportedMemory[] }> = {
  name: 'task-memory import',
  summary: 'take in the memory of tasks from a repository folder, to read and search it here',
  notes: [
    'What was changed, cut off or written by a newer version is refused, and so is what would change a task of this home. A chain that fits proves that nothing was changed since it was written, not who wrote it.',
  ],
  parameters: [{ name: 'directory', summary: 'the folder that task-memory export was given' }],
  options: [],
  run: async ({ home, input, cwd }) => ({
    tasks: await home.store.importMemory(resolve(cwd, input.text('directory'))),
  }),
  render: ({ tasks }, style) =>
    lines(
      ...tasks.map(
        ({ taskId, added, head }) =>
          `${style.good('taken in')} ${style.strong(shortId(taskId))} ${plural(added, 'new record')}; head ${head.seq} ${head.hash}`,
      ),
    ),
};
