import type { Checkpoint } from '../domain/checkpoint.ts';
import type { Execution } from '../domain/execution.ts';
import type { TaskId } from '../domain/ids.ts';
import { asJson } from '../domain/json.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError, asOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Command } from '../domain/execution.ts';
import type { AttemptChanges, AttemptCheck, AttemptService, KeptAttempt } from './attempt-contract.ts';
import { pick, reasonFor, refuseIfDecided, refuseIfHeld } from './attempt-choice.ts';
import { clip } from './clip.ts';
import { deleteTask } from './delete-task.ts';
import { copyCheckpoint, forkTask } from './fork-task.ts';
import { idempotentFromStart } from './idempotent.ts';
import { type Kernel, draft } from './kernel.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, ExecutionService } from './services.ts';
import { takeCheckpoint } from './take-checkpoint.ts';
import { updateTask } from './update-task.ts';
import { integerBetween, oneLine } from './validate.ts';
import { assertHere, withLease } from './with-lease.ts';

/** Tells the forks that were made as attempts from others, which are nobody's to delete. */
const label = 'attempt-of';
const mostAttempts = 50;
const atOnce = 3;
const pageSize = 500;

export function createAttemptService(
  kernel: Kernel,
  keeper: SandboxKeeper,
  executions: ExecutionService,
): AttemptService {
  return {
    start: (taskId, options, call) => start(kernel, keeper, taskId, options, call),
    list: (taskId) => forksOf(kernel, taskId),
    check: async (taskId, { command, timeoutMs }, call) => {
      const forks = await someForks(kernel, taskId);
      const run = (task: Task): Promise<AttemptCheck> =>
        check(kernel, keeper, task, { command, timeoutMs, executions }, call);
      return (await inTurns(forks, run)).toSorted(byWorth);
    },
    keep: (taskId, reference, { dryRun }, call) => keep(kernel, keeper, taskId, reference, dryRun === true, call),
  };
}

async function start(
  kernel: Kernel,
  keeper: SandboxKeeper,
  taskId: TaskId,
  given: { readonly count: number; readonly checkpoint?: string; readonly title?: string },
  call: Call,
): Promise<readonly Task[]> {
  const count = integerBetween('count', given.count, 1, mostAttempts);
  const source = await kernel.deps.tasks.getTask(taskId);
  const title = oneLine('title', given.title ?? clip(source.title, 180), 190);
  const args = { taskId, count, checkpoint: given.checkpoint ?? null, title: given.title ?? null };
  const { forks } = await idempotentFromStart(kernel, call, 'start-attempts', args, async (key) => {
    const made = { forks: await forkTimes(kernel, keeper, { ...given, taskId, count, title }, call) };
    if (call.idempotencyKey !== undefined) await kernel.commit({ records: [], ...key.finished(asJson(made)) });
    return made;
  });
  return forks;
}

interface Starting {
  readonly taskId: TaskId;
  readonly count: number;
  readonly checkpoint?: string;
  readonly title: string;
}

async function forkTimes(
  kernel: Kernel,
  keeper: SandboxKeeper,
  { taskId, count, title, ...given }: Starting,
  call: Call,
): Promise<readonly Task[]> {
  let { checkpoint } = given;
  const forks: Task[] = [];
  for (let number = 1; number <= count; number += 1) {
    const named = checkpoint === undefined ? {} : { checkpoint };
    const options = { ...named, title: `${title} #${number}`, labels: { [label]: taskId } };
    const fork = await forkTask(kernel, keeper, taskId, options, keyed(call, number));
    // Those that follow begin where the first does, whatever is saved meanwhile.
    checkpoint ??= fork.forkedFrom?.checkpointId;
    forks.push(fork);
  }
  return forks;
}

/** A key of a call that makes several things has to tell them apart. */
function keyed(call: Call, number: number): Call {
  const { idempotencyKey, ...rest } = call;
  return idempotencyKey === undefined ? rest : { ...rest, idempotencyKey: `${idempotencyKey} #${number}` };
}

interface Checking {
  readonly command: Command;
  readonly timeoutMs: number | undefined;
  readonly executions: ExecutionService;
}

async function check(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  { command, timeoutMs, executions }: Checking,
  call: Call,
): Promise<AttemptCheck> {
  try {
    const checkpoint = await save(kernel, keeper, task, 'before the check', call);
    const changes = await changesOf(kernel, task, checkpoint);
    const { idempotencyKey: _, ...plain } = call;
    const limit = timeoutMs === undefined ? {} : { timeoutMs };
    const { execution } = await executions.run(task.id, { command, ...limit }, plain);
    return { task, checkpoint, changes, execution, failure: null };
  } catch (error) {
    const failure = asOpencodeToolsError(error).toJSON();
    return { task, checkpoint: null, changes: null, execution: null, failure };
  }
}

async function save(kernel: Kernel, keeper: SandboxKeeper, task: Task, name: string, call: Call): Promise<Checkpoint> {
  const input = { taskId: task.id, name, reason: 'Taken to compare attempts', onlyIfChanged: true };
  const { checkpoint } = await withLease(kernel, task, { sandbox: true }, call, (leased) =>
    takeCheckpoint(kernel, keeper, input, leased, call),
  );
  return checkpoint;
}

async function changesOf(kernel: Kernel, { workspace }: Task, now: Checkpoint): Promise<AttemptChanges> {
  const from = workspace.mode === 'volume' ? (workspace.base?.id ?? null) : null;
  const counts = { added: 0, modified: 0, deleted: 0, bytes: 0 };
  for (const { path, change, to } of await kernel.deps.workspaces.diff(from, now.workspace?.id ?? null)) {
    if (path === '.') continue;
    counts[change] += 1;
    if (to?.kind === 'file') counts.bytes += to.sizeBytes;
  }
  return counts;
}

async function keep(
  kernel: Kernel,
  keeper: SandboxKeeper,
  taskId: TaskId,
  reference: string,
  dryRun: boolean,
  call: Call,
): Promise<KeptAttempt> {
  const forks = await someForks(kernel, taskId);
  const kept = pick(forks, reference);
  const others = forks.filter(({ id }) => id !== kept.id);
  refuseIfDecided(await kernel.deps.checkpoints.list(taskId), others);
  await refuseIfHeld(kernel, others);
  if (dryRun) {
    return { dryRun, kept, checkpoint: null, archived: others.map((task) => ({ task, receipt: null })) };
  }
  const state = await save(kernel, keeper, kept, 'kept', call);
  const source = await kernel.deps.tasks.getTask(taskId);
  const checkpoint = await adopt(kernel, source, kept, { state, others }, call);
  const { idempotencyKey: _, ...plain } = call;
  const archived: KeptAttempt['archived'][number][] = [];
  for (const task of others) {
    const { receipt } = await deleteTask(kernel, keeper, task.id, {}, plain);
    archived.push({ task, receipt });
  }
  // It stays an attempt until the others are gone, so that asking again finishes what was cut off.
  await updateTask(kernel, kept.id, { removeLabels: [label] }, plain);
  return { dryRun, kept, checkpoint, archived };
}

/**
 * Gives the first task the state of the kept attempt, once. Of several that are to be kept at once that one is which came first: the
 * version of the first task decides, and its checkpoint says which it is until the others are gone.
 */
async function adopt(
  kernel: Kernel,
  source: Task,
  kept: Task,
  { state, others }: { readonly state: Checkpoint; readonly others: readonly Task[] },
  call: Call,
): Promise<Checkpoint> {
  const as = { taskId: source.id, name: clip(`kept: ${kept.title}`, 100), reason: reasonFor(kept) };
  return kernel.changeTask(source.id, async (current) => {
    const adopted = await kernel.deps.checkpoints.list(source.id);
    refuseIfDecided(adopted, others);
    // Saving may have taken long enough for an agent to attach.
    await refuseIfHeld(kernel, others);
    const before = adopted.find(({ parentId, reason }) => parentId === state.id && reason === as.reason);
    if (before !== undefined) return { change: null, result: before };
    const checkpoint = copyCheckpoint(kernel, state, as);
    const detail = { taskId: kept.id, checkpointId: checkpoint.id, archived: others.map(({ id }) => id) };
    const puts = [
      { noun: 'task', value: { ...current, version: current.version + 1, updatedAt: kernel.now() } },
      { noun: 'checkpoint', value: checkpoint },
    ] as const;
    const records = [draft({ stream: source.id, type: 'fork.kept', call, puts, detail })];
    return { change: { guard: { checkpoint: state.id }, records }, result: checkpoint };
  });
}

async function someForks(kernel: Kernel, taskId: TaskId): Promise<readonly Task[]> {
  assertHere(kernel, await kernel.deps.tasks.getTask(taskId));
  const forks = await forksOf(kernel, taskId);
  if (forks.length > 0) return forks;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Task ${taskId} has no attempts`, {
    remedy: `Make some first: opencode-tools attempts start ${taskId} --count 3`,
    details: { taskId },
  });
}

async function forksOf(kernel: Kernel, taskId: TaskId): Promise<readonly Task[]> {
  const { tasks } = kernel.deps;
  const forks: Task[] = [];
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof tasks.listTasks>> = await tasks.listTasks(
      { label: { name: label, value: taskId } },
      { limit: pageSize, ...(cursor === null ? {} : { cursor }) },
    );
    forks.push(...page.items.filter(({ forkedFrom }) => forkedFrom?.taskId === taskId));
    cursor = page.next;
  } while (cursor !== null);
  return forks.toSorted((one, other) => (one.id < other.id ? -1 : 1));
}

/** Does work for each of the things, a few at once; results in their order. */
async function inTurns<T, R>(things: readonly T[], work: (thing: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < things.length; at = next++) results[at] = await work(things[at] as T);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

/** Those that passed first, then the smaller change, then the shorter time; what could not be checked last. */
function byWorth(one: AttemptCheck, other: AttemptCheck): number {
  const [left, right] = [worthOf(one), worthOf(other)];
  const at = left.findIndex((value, index) => value !== right[index]);
  return at === -1 ? 0 : (left[at] ?? 0) - (right[at] ?? 0);
}

function worthOf({ execution, changes }: AttemptCheck): readonly number[] {
  if (execution === null || changes === null) return [2];
  const { added, modified, deleted } = changes;
  return [passed(execution) ? 0 : 1, added + modified + deleted, execution.durationMs ?? 0];
}

function passed({ exitCode }: Execution): boolean {
  return exitCode === 0;
}
