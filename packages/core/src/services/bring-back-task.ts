import type { Checkpoint } from '../domain/checkpoint.ts';
import type { CheckpointId, TaskId } from '../domain/ids.ts';
import { asJson } from '../domain/json.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { withBeginning } from './beginning-image.ts';
import { areHere } from './change-checkpoint.ts';
import { checkCheckpoints } from './check-checkpoints.ts';
import { clip } from './clip.ts';
import { type Beginning, beginFrom, lastRow } from './fork-task.ts';
import { idempotentFromStart } from './idempotent.ts';
import type { Kernel } from './kernel.ts';
import type { Call, RecoverTask, RecoverableTask, RecoveredTask } from './services.ts';
import { oneLine } from './validate.ts';
import { assertHere } from './with-lease.ts';

const pageSize = 200;

/**
 * Makes a task from what is left of another: its newest sound checkpoint, and a copy of its decisions, todos and notes, all in
 * one change.
 */
export async function bringBackTask(
  kernel: Kernel,
  id: TaskId,
  options: RecoverTask,
  call: Call,
): Promise<RecoveredTask> {
  const living = await kernel.deps.tasks.findTask(id);
  const source = living ?? (await lastRow(kernel, id));
  assertHere(kernel, source);
  const ownTitle = living === undefined ? source.title : `${clip(source.title, 180)} (recovered)`;
  const title = oneLine('title', options.title ?? ownTitle, 200);
  const args = { taskId: id, checkpoint: options.checkpoint ?? null, title };
  return idempotentFromStart(kernel, call, 'recover', args, async (key) => {
    call.onProgress?.('reading what was kept');
    const { checkpoint, rootLost, passedOver } = await pickSound(
      kernel,
      source,
      living !== undefined,
      options.checkpoint,
    );
    const from = rootLost
      ? { ...checkpoint, root: null, sandboxSpec: await withBeginning(kernel, id, checkpoint.sandboxSpec) }
      : checkpoint;
    const journal = await readJournal(kernel, id);
    const result = {
      checkpoint,
      passedOver,
      rootLost,
      decisions: journal.decisions.length,
      todos: journal.todos.length,
      notes: journal.notes.length,
    };
    const task = await beginFrom(
      kernel,
      {
        source,
        living: living !== undefined,
        checkpoint: from,
        title,
        detail: { recovered: true, rootLost, passedOver: passedOver.map(({ checkpointId }) => checkpointId) },
        more: (taskId) => copyJournal(kernel, journal, taskId),
      },
      { ...key, finished: (stored) => key.finished(asJson({ ...result, task: stored })) },
      call,
    );
    return { ...result, task };
  });
}

/** Deleted tasks of this home of which checkpoints are left, the last deleted first. */
export async function recoverableTasks(kernel: Kernel): Promise<readonly RecoverableTask[]> {
  const { tasks, checkpoints } = kernel.deps;
  const byTask = Map.groupBy(await checkpoints.listAll(), ({ taskId }) => taskId);
  const descendants = Map.groupBy(await allTasks(kernel), ({ forkedFrom }) => forkedFrom?.taskId);
  const found: RecoverableTask[] = [];
  for (const [taskId, kept] of byTask) {
    const receipt = await tasks.findReceipt(taskId);
    if (receipt === undefined || !(await areHere(kernel, taskId))) continue;
    // Only recovering makes a task of one that is deleted; those before are forks.
    const since = (descendants.get(taskId) ?? []).filter(({ createdAt }) => createdAt >= receipt.deletedAt);
    const recoveredAs = since.map(({ id }) => id);
    const newestFirst = kept.toSorted((one, other) => compare(other.createdAt, one.createdAt));
    found.push({ receipt, checkpoints: newestFirst, recoveredAs });
  }
  return found.toSorted((one, other) => compare(other.receipt.deletedAt, one.receipt.deletedAt));
}

interface Sound extends Pick<RecoveredTask, 'checkpoint' | 'rootLost' | 'passedOver'> {}

/**
 * The named checkpoint, else the newest that is sound. One of which only the image is gone is taken before older ones: files are
 * worth more than what was installed.
 */
async function pickSound(kernel: Kernel, source: Task, living: boolean, reference: string | undefined): Promise<Sound> {
  const passedOver: { checkpointId: CheckpointId; damage: readonly string[] }[] = [];
  for (const candidate of await candidates(kernel, source, reference)) {
    const [health] = await checkCheckpoints(kernel, [candidate]);
    const damage = health?.damage ?? [];
    const rootLost = damage.some(({ part }) => part === 'root');
    if (damage.every(({ part }) => part === 'root')) return { checkpoint: candidate, rootLost, passedOver };
    passedOver.push({ checkpointId: candidate.id, damage: damage.map(({ message }) => message) });
  }
  const [newest] = passedOver;
  if (newest === undefined) throw nothingKept(source);
  throw new OpencodeToolsError(
    'OCT_CHECKPOINT_CORRUPT',
    `No sound checkpoint of task ${source.id} is left: ${newest.damage[0] ?? newest.checkpointId}`,
    {
      remedy: noneSound(source, living),
      details: { taskId: source.id, passedOver: asJson({ passedOver })['passedOver'] ?? null },
    },
  );
}

function noneSound({ id }: Task, living: boolean): string {
  return living
    ? `When its sandbox still works, take another: opencode-tools checkpoint ${id}. Else delete it: opencode-tools cleanup-task ${id} --force`
    : `Nothing of its files can be brought back. What was done in it can still be read: opencode-tools task-history ${id}`;
}

async function candidates(kernel: Kernel, source: Task, reference: string | undefined): Promise<readonly Checkpoint[]> {
  const { checkpoints } = kernel.deps;
  if (reference !== undefined) return [await checkpoints.resolve(source.id, reference)];
  const all = await checkpoints.list(source.id);
  const receipt = await kernel.deps.tasks.findReceipt(source.id);
  const last = receipt === undefined ? source.headCheckpointId : receipt.finalCheckpointId;
  // After a restore the line goes on from an older checkpoint; what the task was at comes first.
  return all.toSorted((one, other) => Number(other.id === last) - Number(one.id === last));
}

function nothingKept(source: Task): OpencodeToolsError {
  return new OpencodeToolsError('OCT_CHECKPOINT_NOT_FOUND', `No checkpoint of task ${source.id} is left`, {
    remedy: 'A task that had no sandbox has none. List what can be brought back with `opencode-tools recover --list`.',
    details: { taskId: source.id },
  });
}

type Journal = Awaited<ReturnType<typeof readJournal>>;

async function readJournal(kernel: Kernel, taskId: TaskId) {
  const { tasks } = kernel.deps;
  const [decisions, todos, notes] = await Promise.all([
    tasks.listDecisions(taskId),
    tasks.listTodos(taskId),
    tasks.listNotes(taskId),
  ]);
  return { decisions, todos, notes };
}

/** The same words, states, authors and times, as rows of the new task; sessions stay with the first. */
function copyJournal(
  { deps: { ids } }: Kernel,
  { decisions, todos, notes }: Journal,
  taskId: TaskId,
): ReturnType<NonNullable<Beginning['more']>> {
  return [
    ...decisions.map((decision) => {
      const value = { ...decision, id: ids.next('decision'), taskId, sessionId: null };
      return { type: 'decision.recorded', put: { noun: 'decision', value } } as const;
    }),
    ...todos.map((todo) => {
      const value = { ...todo, id: ids.next('todo'), taskId, version: 1 };
      return { type: 'todo.added', put: { noun: 'todo', value } } as const;
    }),
    ...notes.map((note) => {
      const value = { ...note, id: ids.next('note'), taskId, version: 1 };
      return { type: 'note.added', put: { noun: 'note', value } } as const;
    }),
  ];
}

async function allTasks(kernel: Kernel): Promise<readonly Task[]> {
  const all: Task[] = [];
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<Kernel['deps']['tasks']['listTasks']>> = await kernel.deps.tasks.listTasks(
      {},
      { limit: pageSize, ...(cursor === null ? {} : { cursor }) },
    );
    all.push(...page.items);
    cursor = page.next;
  } while (cursor !== null);
  return all;
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}
