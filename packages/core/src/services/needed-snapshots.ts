import type { Kernel } from './kernel.ts';

const pageSize = 500;

/** Ids of all frozen trees that a checkpoint holds, of deleted tasks too, or that a task begins with. */
export async function neededSnapshots(kernel: Kernel): Promise<ReadonlySet<string>> {
  const { tasks, checkpoints } = kernel.deps;
  const needed = new Set<string>();
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof tasks.listTasks>> = await tasks.listTasks(
      {},
      { limit: pageSize, ...(cursor === null ? {} : { cursor }) },
    );
    for (const { workspace } of page.items) {
      if (workspace.mode === 'volume' && workspace.base !== null) needed.add(workspace.base.id);
    }
    cursor = page.next;
  } while (cursor !== null);
  for (const { workspace, home } of await checkpoints.listAll()) {
    for (const snapshot of [workspace, home]) if (snapshot !== null) needed.add(snapshot.id);
  }
  return needed;
}
