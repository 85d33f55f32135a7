import type { Checkpoint } from '../domain/checkpoint.ts';
import type { CheckpointId, TaskId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { areHere, taskOrLastRow } from './change-checkpoint.ts';
import type { CheckpointUsage, HomeCheckpointUsage, PrunedCheckpoints } from './checkpoint-contract.ts';
import { collectGarbage } from './collect-garbage.ts';
import { headsOf, removeCheckpoint } from './delete-checkpoint.ts';
import type { Kernel } from './kernel.ts';
import {
  type Outworn,
  type RetentionPolicy,
  defaultRetention,
  inOrderOfWorth,
  planHomeBudget,
  planRetention,
} from './retention.ts';
import type { Call } from './services.ts';
import { assertHere, isHere } from './with-lease.ts';

const pageSize = 200;

export interface PruneOptions {
  readonly dryRun: boolean;
  /** In place of what the configuration says. */
  readonly policy?: Partial<RetentionPolicy>;
}

/**
 * Applies the retention policy to one task, or to all of this home's and then to the home, and collects what nothing needs any
 * more. Of a deleted task the checkpoint that `recover` brings back first stays.
 */
export async function pruneCheckpoints(
  kernel: Kernel,
  taskId: TaskId | undefined,
  { dryRun, policy: given }: PruneOptions,
  call: Call,
): Promise<PrunedCheckpoints> {
  const policy = { ...(kernel.deps.defaults.retention ?? defaultRetention), ...given };
  const going = new Going(kernel, dryRun, call);
  const kept = await keptCheckpoints(kernel);
  for (const id of taskId === undefined ? await tasksWithCheckpoints(kernel) : [await hereOrThrow(kernel, taskId)])
    for (const one of await outworn(kernel, id, kept, policy)) await going.remove(one);
  if (taskId === undefined && policy.homeBudgetBytes > 0)
    for (const one of await beyondHomeBudget(kernel, policy.homeBudgetBytes, kept, going)) await going.remove(one);
  const { removed, left } = going;
  return { dryRun, removed, left, collected: dryRun ? null : await collectGarbage(kernel) };
}

/** What goes, and what turned out to be needed meanwhile. */
class Going {
  readonly removed: Outworn[] = [];
  readonly left: PrunedCheckpoints['left'][number][] = [];
  readonly #kernel: Kernel;
  readonly #dryRun: boolean;
  readonly #call: Call;

  constructor(kernel: Kernel, dryRun: boolean, call: Call) {
    this.#kernel = kernel;
    this.#dryRun = dryRun;
    this.#call = call;
  }

  async remove({ checkpoint, rule }: Outworn): Promise<void> {
    const { id, taskId } = checkpoint;
    try {
      const removing = { call: this.#call, proof: null, reason: `retention: ${rule}` };
      if (!this.#dryRun) await removeCheckpoint(this.#kernel, taskId, id, removing);
      this.removed.push({ checkpoint, rule });
    } catch (error) {
      const isLater =
        isOpencodeToolsError(error, 'OCT_VERSION_CONFLICT') || isOpencodeToolsError(error, 'OCT_POLICY_DENIED');
      if (!isLater) throw error;
      this.left.push({ checkpoint, reason: error.message });
    }
  }

  has({ id }: Checkpoint): boolean {
    return this.removed.some(({ checkpoint }) => checkpoint.id === id);
  }
}

async function hereOrThrow(kernel: Kernel, taskId: TaskId): Promise<TaskId> {
  assertHere(kernel, (await taskOrLastRow(kernel, taskId)).task);
  return taskId;
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

/** What the checkpoints of each task of this home take on disk, and all of them together; images apart. */
export async function homeCheckpointUsage(kernel: Kernel): Promise<HomeCheckpointUsage> {
  const { checkpoints: catalog, tasks, workspaces, defaults } = kernel.deps;
  const ids = await tasksWithCheckpoints(kernel);
  const lists = await Promise.all(ids.map((id) => catalog.list(id)));
  const usage = await workspaces.usage([...lists.map((list) => list.flatMap(treesOf)), await bases(kernel)]);
  const told: HomeCheckpointUsage['tasks'][number][] = [];
  for (const [at, taskId] of ids.entries()) {
    const { bytes, ownBytes } = usage[at] ?? { bytes: 0, ownBytes: 0 };
    const receipt = await tasks.findReceipt(taskId);
    const title = receipt?.title ?? (await tasks.findTask(taskId))?.title ?? taskId;
    const checkpoints = lists[at]?.length ?? 0;
    told.push({ taskId, title, deleted: receipt !== undefined, checkpoints, bytes, ownBytes });
  }
  return {
    tasks: told.toSorted((one, other) => other.ownBytes - one.ownBytes),
    bytes: usage.slice(0, ids.length).reduce((sum, { addedBytes }) => sum + addedBytes, 0),
    budgetBytes: (defaults.retention ?? defaultRetention).homeBudgetBytes,
  };
}

async function outworn(kernel: Kernel, taskId: TaskId, kept: ReadonlySet<CheckpointId>, policy: RetentionPolicy) {
  const checkpoints = await kernel.deps.checkpoints.list(taskId);
  const facts = { checkpoints, kept, nowMs: kernel.deps.clock.nowMs() };
  if (policy.budgetBytes === 0 || checkpoints.every(({ id }) => kept.has(id))) return planRetention(policy, facts);
  const going = new Set(planRetention(policy, facts).map(({ checkpoint }) => checkpoint.id));
  const inOrder = inOrderOfWorth(checkpoints, kept).filter(({ id }) => !going.has(id));
  const addedBytes = await addedBeyond(kernel, await otherTrees(kernel, taskId), inOrder);
  return planRetention(policy, { ...facts, addedBytes });
}

async function beyondHomeBudget(
  kernel: Kernel,
  budgetBytes: number,
  kept: ReadonlySet<CheckpointId>,
  going: Going,
): Promise<readonly Outworn[]> {
  const here = new Set(await tasksWithCheckpoints(kernel));
  const checkpoints = (await kernel.deps.checkpoints.listAll())
    .filter((checkpoint) => here.has(checkpoint.taskId) && !going.has(checkpoint))
    .toSorted((one, other) => (one.createdAt > other.createdAt ? -1 : 1));
  const addedBytes = await addedBeyond(kernel, [await bases(kernel)], inOrderOfWorth(checkpoints, kept));
  return planHomeBudget(budgetBytes, { checkpoints, kept, nowMs: kernel.deps.clock.nowMs(), addedBytes });
}

/** What each takes that neither the others nor one before it does. */
async function addedBeyond(
  kernel: Kernel,
  others: readonly (readonly string[])[],
  inOrder: readonly Checkpoint[],
): Promise<ReadonlyMap<CheckpointId, number>> {
  const usage = await kernel.deps.workspaces.usage([...others, ...inOrder.map(treesOf)]);
  return new Map(inOrder.map(({ id }, at) => [id, usage[others.length + at]?.addedBytes ?? 0]));
}

function treesOf({ workspace, home }: Checkpoint): readonly string[] {
  return [workspace, home].flatMap((snapshot) => (snapshot === null ? [] : [snapshot.id]));
}

/** The trees of other tasks' checkpoints, and those that tasks begin with. */
async function otherTrees(kernel: Kernel, taskId: TaskId): Promise<readonly (readonly string[])[]> {
  const others = (await kernel.deps.checkpoints.listAll()).filter((checkpoint) => checkpoint.taskId !== taskId);
  return [...others.map(treesOf), await bases(kernel)];
}

async function bases(kernel: Kernel): Promise<readonly string[]> {
  return (await ownTasks(kernel)).flatMap(({ workspace }) =>
    workspace.mode === 'volume' && workspace.base !== null ? [workspace.base.id] : [],
  );
}

/** What is tagged or pinned, what a task comes back from, and what `recover` brings back of a deleted one. */
async function keptCheckpoints(kernel: Kernel): Promise<ReadonlySet<CheckpointId>> {
  const { checkpoints, tasks } = kernel.deps;
  const kept = new Set(await headsOf(kernel));
  const all = await checkpoints.listAll();
  for (const { id, pinned, tags } of all) if (pinned || tags.length > 0) kept.add(id);
  for (const [taskId, own] of Map.groupBy(all, (checkpoint) => checkpoint.taskId)) {
    const receipt = await tasks.findReceipt(taskId);
    if (receipt === undefined) continue;
    const last = own.find(({ id }) => id === receipt.finalCheckpointId) ?? newestOf(own);
    if (last !== undefined) kept.add(last.id);
  }
  return kept;
}

function newestOf(checkpoints: readonly Checkpoint[]): Checkpoint | undefined {
  return checkpoints.reduce<Checkpoint | undefined>(
    (newest, one) => (newest === undefined || one.createdAt > newest.createdAt ? one : newest),
    undefined,
  );
}

/** Tasks of this home that have checkpoints, deleted ones included. */
async function tasksWithCheckpoints(kernel: Kernel): Promise<readonly TaskId[]> {
  const ids = new Set((await kernel.deps.checkpoints.listAll()).map(({ taskId }) => taskId));
  const here: TaskId[] = [];
  for (const id of ids) {
    if (await areHere(kernel, id)) here.push(id);
  }
  return here;
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
