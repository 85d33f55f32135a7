import type { Checkpoint } from '../domain/checkpoint.ts';
import type { CheckpointId, TaskId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { CheckpointUsage, PrunedCheckpoints } from './checkpoint-contract.ts';
import { collectGarbage } from './collect-garbage.ts';
import { headsOf, removeCheckpoint } from './delete-checkpoint.ts';
import type { Kernel } from './kernel.ts';
import { type RetentionPolicy, defaultRetention, inOrderOfWorth, planRetention } from './retention.ts';
import type { Call } from './services.ts';
import { assertHere, isHere } from './with-lease.ts';

const pageSize = 200;

export interface PruneOptions {
  readonly dryRun: boolean;
  /** In place of what the configuration says. */
  readonly policy?: Partial<RetentionPolicy>;
}

/** Applies the retention policy to one task, or to all of this home's, then collects what nothing needs any more. */
export async function pruneCheckpoints(
  kernel: Kernel,
  taskId: TaskId | undefined,
  { dryRun, policy: given }: PruneOptions,
  call: Call,
): Promise<PrunedCheckpoints> {
  const policy = { ...(kernel.deps.defaults.retention ?? defaultRetention), ...given };
  const tasks = taskId === undefined ? await ownTasks(kernel) : [await kernel.deps.tasks.getTask(taskId)];
  const heads = await headsOf(kernel);
  const removed: PrunedCheckpoints['removed'][number][] = [];
  const left: PrunedCheckpoints['left'][number][] = [];
  for (const task of tasks) {
    assertHere(kernel, task);
    for (const { checkpoint, rule } of await outworn(kernel, task, heads, policy)) {
      try {
        const reason = `retention: ${rule}`;
        if (!dryRun) await removeCheckpoint(kernel, task.id, checkpoint.id, { call, proof: null, reason });
        removed.push({ checkpoint, rule });
      } catch (error) {
        const isLater =
          isOpencodeToolsError(error, 'OCT_VERSION_CONFLICT') || isOpencodeToolsError(error, 'OCT_POLICY_DENIED');
        if (!isLater) throw error;
        left.push({ checkpoint, reason: error.message });
      }
    }
  }
  return { dryRun, removed, left, collected: dryRun ? null : await collectGarbage(kernel) };
}

/** What each checkpoint of a task takes on disk, newest first; images apart. */
export async function checkpointUsage(kernel: Kernel, taskId: TaskId): Promise<readonly CheckpointUsage[]> {
  const own = await kernel.deps.checkpoints.list(taskId);
  const usage = await kernel.deps.workspaces.usage([...own.map(treesOf), ...(await otherTrees(kernel, taskId))]);
  return own.map((checkpoint, at) => {
    const { bytes, ownBytes } = usage[at] ?? { bytes: 0, ownBytes: 0 };
    return { checkpoint, bytes, ownBytes, sharedBytes: bytes - ownBytes };
  });
}

async function outworn(kernel: Kernel, task: Task, heads: ReadonlySet<CheckpointId>, policy: RetentionPolicy) {
  const { checkpoints: catalog, clock } = kernel.deps;
  const checkpoints = await catalog.list(task.id);
  const isKept = ({ id, pinned, tags }: Checkpoint): boolean => heads.has(id) || pinned || tags.length > 0;
  const kept = new Set(checkpoints.filter(isKept).map(({ id }) => id));
  const facts = { checkpoints, kept, nowMs: clock.nowMs() };
  if (policy.budgetBytes === 0 || checkpoints.length === kept.size) return planRetention(policy, facts);
  const going = new Set(planRetention(policy, facts).map(({ checkpoint }) => checkpoint.id));
  const inOrder = inOrderOfWorth(checkpoints, kept).filter(({ id }) => !going.has(id));
  const others = await otherTrees(kernel, task.id);
  const usage = await kernel.deps.workspaces.usage([...others, ...inOrder.map(treesOf)]);
  const addedBytes = new Map(inOrder.map(({ id }, at) => [id, usage[others.length + at]?.addedBytes ?? 0]));
  return planRetention(policy, { ...facts, addedBytes });
}

function treesOf({ workspace, home }: Checkpoint): readonly string[] {
  return [workspace, home].flatMap((snapshot) => (snapshot === null ? [] : [snapshot.id]));
}

/** The trees of other tasks' checkpoints, and those that tasks begin with. */
async function otherTrees(kernel: Kernel, taskId: TaskId): Promise<readonly (readonly string[])[]> {
  const others = (await kernel.deps.checkpoints.listAll()).filter((checkpoint) => checkpoint.taskId !== taskId);
  const bases = (await ownTasks(kernel)).flatMap(({ workspace }) =>
    workspace.mode === 'volume' && workspace.base !== null ? [workspace.base.id] : [],
  );
  return [...others.map(treesOf), bases];
}

async function ownTasks(kernel: Kernel): Promise<readonly Task[]> {
  const { tasks } = kernel.deps;
  const found: Task[] = [];
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof tasks.listTasks>> = await tasks.listTasks(
      {},
      { limit: pageSize, ...(cursor === null ? {} : { cursor }) },
    );
    found.push(...page.items.filter((task) => isHere(kernel, task)));
    cursor = page.next;
  } while (cursor !== null);
  return found;
}
