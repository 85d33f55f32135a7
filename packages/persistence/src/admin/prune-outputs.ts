import { lstat, rm, rmdir, readdir } from 'node:fs/promises';
import { type ExecutionId, type TaskId, isId, outputStreams } from '@opencode-tools/core';
import { listTaskDirectories } from '../memory/list-task-directories.ts';
import { TaskPaths } from '../memory/task-paths.ts';

/** What went of the outputs of one task. */
export interface PrunedOutputs {
  readonly taskId: TaskId;
  readonly executions: number;
  readonly bytes: number;
}

interface Pruning {
  /** Outputs that were written to since then stay. */
  readonly beforeMs: number;
  /** Executions that are not over: their outputs stay. */
  readonly running: ReadonlySet<string>;
  readonly dryRun: boolean;
}

/** Removes the files of outputs, of deleted tasks too. Needs no room on the disk. */
export async function pruneOutputs(homeDirectory: string, pruning: Pruning): Promise<readonly PrunedOutputs[]> {
  const pruned: PrunedOutputs[] = [];
  for (const taskId of await listTaskDirectories(homeDirectory)) {
    const paths = new TaskPaths(homeDirectory, taskId);
    const sizes: number[] = [];
    for (const id of await executionsIn(paths)) {
      const bytes = pruning.running.has(id) ? undefined : await pruneOne(paths, id, pruning);
      if (bytes !== undefined) sizes.push(bytes);
    }
    if (sizes.length === 0) continue;
    pruned.push({ taskId, executions: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) });
  }
  return pruned;
}

async function executionsIn(paths: TaskPaths): Promise<readonly ExecutionId[]> {
  const names: readonly string[] = await readdir(paths.file('executions')).catch(() => []);
  return names.filter((name): name is ExecutionId => isId('execution', name));
}

/** @returns undefined when there is no output, or one is too young to go */
async function pruneOne(paths: TaskPaths, id: ExecutionId, { beforeMs, dryRun }: Pruning): Promise<number | undefined> {
  const files = outputStreams.map((stream) => paths.output(id, stream));
  const facts = await Promise.all(files.map(async (file) => lstat(file).catch(() => undefined)));
  const there = facts.filter((one) => one !== undefined);
  if (there.length === 0 || there.some(({ mtimeMs }) => mtimeMs >= beforeMs)) return undefined;
  if (!dryRun) {
    for (const file of files) await rm(file, { force: true });
    await rmdir(paths.executionDirectory(id)).catch(() => undefined);
  }
  return there.reduce((sum, { size }) => sum + size, 0);
}
