import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { type TaskId, isId } from '@opencode-tools/core';

/** The tasks that have files in a home, whether the registry knows them or not. */
export async function listTaskDirectories(homeDirectory: string): Promise<readonly TaskId[]> {
  const entries = await readdir(path.join(homeDirectory, 'tasks'), { withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    },
  );
  const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  return names.filter((name): name is TaskId => isId('task', name)).toSorted();
}
