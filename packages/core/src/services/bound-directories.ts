import type { Kernel } from './kernel.ts';

const pageSize = 500;

/** Directories of the host that sandboxes of tasks have as workspace, of whatever task. */
export async function boundDirectories({ deps: { tasks } }: Kernel): Promise<readonly string[]> {
  const found = new Set<string>();
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof tasks.listTasks>> = await tasks.listTasks(
      {},
      { limit: pageSize, ...(cursor === null ? {} : { cursor }) },
    );
    for (const { workspace } of page.items) if (workspace.mode === 'bind') found.add(workspace.path);
    cursor = page.next;
  } while (cursor !== null);
  return [...found];
}
