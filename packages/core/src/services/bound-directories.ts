import type { TaskStore } from '../ports/task-store.ts';

const pageSize = 500;

/** Directories of the host that sandboxes of tasks have as workspace, of whatever task. What git on the host opens is kept out of them. */
export async function boundDirectories(tasks: Pick<TaskStore, 'listTasks'>): Promise<readonly string[]> {
  const found = new Set<string>();
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof tasks.listTasks>> = await tasks.listTasks(
      { bound: true },
      { limit: pageSize, ...(cursor === null ? {} : { cursor }) },
    );
    for (const { workspace } of page.items) if (workspace.mode === 'bind') found.add(workspace.path);
    cursor = page.next;
  } while (cursor !== null);
  return [...found];
}
