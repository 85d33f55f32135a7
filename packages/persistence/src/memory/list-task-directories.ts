import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { type CheckpointId, type TaskId, isId } from '@opencode-tools/core';

/** The tasks that have files in a home, whether the registry knows them or not. */
export async function listTaskDirectories(homeDirectory: string): Promise<readonly TaskId[]> {
  const names = await directoriesIn(path.join(homeDirectory, 'tasks'));
  return names.filter((name): name is TaskId => isId('task', name)).toSorted();
}

/** The checkpoints that have files in a home, whether the registry knows them or not. */
export async function listCheckpointDirectories(homeDirectory: string): Promise<readonly CheckpointId[]> {
  const found: CheckpointId[] = [];
  for (const task of await listTaskDirectories(homeDirectory)) {
    const names = await directoriesIn(path.join(homeDirectory, 'tasks', task, 'checkpoints'));
    found.push(...names.filter((name): name is CheckpointId => isId('checkpoint', name)));
  }
  return found;
}

async function directoriesIn(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}
