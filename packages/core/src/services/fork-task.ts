import type { Checkpoint, SnapshotRef } from '../domain/checkpoint.ts';
import type { TaskId } from '../domain/ids.ts';
import { type JsonObject, asJson } from '../domain/json.ts';
import type { LeaseProof } from '../domain/session.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { RecordPayload, RecordType } from '../ledger/ledger-record.ts';
import type { Put } from '../ledger/put.ts';
import { clip } from './clip.ts';
import { assertSound } from './find-damage.ts';
import { type IdempotencyKey, idempotentFromStart } from './idempotent.ts';
import { type Kernel, draft, leaseGuard } from './kernel.ts';
import { runHooks } from './run-hooks.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, ForkTask } from './services.ts';
import { manifestDigest, takeCheckpoint } from './take-checkpoint.ts';
import { oneLine } from './validate.ts';
import { assertHere, withLease } from './with-lease.ts';

const pageSize = 200;

/**
 * Makes a task that starts where a checkpoint of another one is. Snapshots never change, so nothing is copied and the first
 * task is not touched; the new task's sandbox is made when it is first used. The first task may have been deleted: its
 * checkpoints outlive it, and forking one is how its work is brought back. With a session it is done under that session's lease.
 */
export async function forkTask(
  kernel: Kernel,
  keeper: SandboxKeeper,
  id: TaskId,
  options: ForkTask & { readonly labels?: Task['labels'] },
  call: Call,
): Promise<Task> {
  const living = await kernel.deps.tasks.findTask(id);
  const source = living ?? (await lastRow(kernel, id));
  assertHere(kernel, source);
  const title = oneLine('title', options.title ?? `${clip(source.title, 190)} (fork)`, 200);
  return idempotentFromStart(
    kernel,
    call,
    'fork',
    { taskId: id, checkpoint: options.checkpoint ?? null, title },
    async (key) => {
      const { sessionId } = options;
      const begin = async (proof: LeaseProof | null): Promise<Task> => {
        const checkpoint = await pickCheckpoint(kernel, keeper, source, living !== undefined, options, call);
        await assertSound(kernel, checkpoint);
        const labels = { ...source.labels, ...options.labels };
        const from = { source: { ...source, labels }, living: living !== undefined, checkpoint, title, proof };
        return beginFrom(kernel, from, key, call);
      };
      if (sessionId === undefined || living === undefined) return begin(null);
      return withLease(kernel, source, { sessionId, sandbox: false }, call, ({ proof }) => begin(proof));
    },
  );
}

/** What a new task begins with. */
export interface Beginning {
  /** The task that it comes from, with the labels that the new one gets. */
  readonly source: Task;
  /** False when that task was deleted: its chain has ended. */
  readonly living: boolean;
  readonly checkpoint: Checkpoint;
  readonly title: string;
  /** The lease on the first task under which it is done, if any. */
  readonly proof?: LeaseProof | null;
  /** Facts for the record of its creation. */
  readonly detail?: JsonObject;
  /** What else the new task has from its first moment on. */
  readonly more?: (taskId: TaskId) => readonly { readonly type: RecordType; readonly put: Put }[];
}

/** Records a new task that begins at a checkpoint, with all that it has, or nothing. */
export async function beginFrom(
  kernel: Kernel,
  { source, living, checkpoint, title, proof = null, detail = {}, more = () => [] }: Beginning,
  key: IdempotencyKey,
  call: Call,
): Promise<Task> {
  const own = copyCheckpoint(kernel, checkpoint, {
    taskId: kernel.deps.ids.next('task'),
    name: checkpoint.name,
    reason: `Where the task was forked from ${source.id}`,
  });
  const task = composeFork(kernel, source, checkpoint, own, title);
  const agent = { agent: call.actor.agent ?? call.actor.id, model: call.actor.model, sessionId: null };
  const hooks = await runHooks(kernel, { point: 'task:creating', task, ...agent }, { stream: 'home', call });
  const origin = { forkedFrom: source.id, checkpointId: checkpoint.id, ...detail };
  const created = { stream: task.id, type: 'task.created', call, detail: { ...origin, ...hooks } } as const;
  const forked = { taskId: task.id, checkpointId: checkpoint.id };
  const puts: readonly Put[] = [
    { noun: 'task', value: task },
    { noun: 'checkpoint', value: own },
  ];
  await kernel.commit({
    guard: { ...(proof === null ? {} : leaseGuard(proof, true)), checkpoint: checkpoint.id },
    records: [
      draft({ ...created, puts }),
      ...more(task.id).map(({ type, put }) => draft({ stream: task.id, type, call, puts: [put] })),
      // The chain of a deleted task ends with its deletion.
      ...(living ? [draft({ stream: source.id, type: 'fork.completed', call, detail: forked })] : []),
      draft({ stream: 'home', type: 'task.created', call, detail: { taskId: task.id, title, ...origin } }),
    ],
    ...key.finished(asJson(task)),
  });
  return task;
}

/** The named checkpoint, else the newest; a task without any gets one first. */
async function pickCheckpoint(
  kernel: Kernel,
  keeper: SandboxKeeper,
  source: Task,
  living: boolean,
  options: ForkTask,
  call: Call,
): Promise<Checkpoint> {
  const { checkpoints } = kernel.deps;
  if (options.checkpoint !== undefined) return checkpoints.resolve(source.id, options.checkpoint);
  const head = source.headCheckpointId === null ? undefined : await checkpoints.find(source.headCheckpointId);
  if (head !== undefined) return head;
  if (!living)
    throw new OpencodeToolsError('OCT_CHECKPOINT_NOT_FOUND', `The deleted task ${source.id} has no checkpoint`);
  return withLease(kernel, source, { sessionId: options.sessionId, sandbox: true }, call, async (leased) => {
    const input = { taskId: source.id, name: 'fork point', reason: 'Taken to fork the task', onlyIfChanged: false };
    return (await takeCheckpoint(kernel, keeper, input, leased, call)).checkpoint;
  });
}

/** A deleted task as its newest record shows it. */
export async function lastRow(kernel: Kernel, id: TaskId): Promise<Task> {
  const { ledger, tasks } = kernel.deps;
  const { seq } = await ledger.head(id);
  for (let end = seq; end > 0; end -= pageSize) {
    const records = await ledger.read(id, { afterSeq: Math.max(0, end - pageSize), limit: Math.min(pageSize, end) });
    for (const { payload } of records.toReversed()) {
      const { puts } = JSON.parse(payload ?? '{"puts":[]}') as RecordPayload;
      const put = puts.findLast(({ noun }) => noun === 'task');
      if (put?.noun === 'task') return put.value;
    }
  }
  return tasks.getTask(id);
}

/** The same trees and image as a checkpoint of another task, which that one keeps whatever becomes of the first. */
export function copyCheckpoint(
  kernel: Kernel,
  checkpoint: Checkpoint,
  as: Pick<Checkpoint, 'taskId' | 'name' | 'reason'>,
): Checkpoint {
  const shared = (snapshot: SnapshotRef | null) => (snapshot === null ? null : { ...snapshot, addedBytes: 0 });
  const unsealed = {
    ...checkpoint,
    ...as,
    id: kernel.deps.ids.next('checkpoint'),
    parentId: checkpoint.id,
    workspace: shared(checkpoint.workspace),
    home: shared(checkpoint.home),
    pinned: false,
    tags: [],
    createdAt: kernel.now(),
  };
  return { ...unsealed, manifestDigest: manifestDigest(unsealed) };
}

function composeFork(kernel: Kernel, source: Task, checkpoint: Checkpoint, own: Checkpoint, title: string): Task {
  const at = kernel.now();
  return {
    ...source,
    id: own.taskId,
    title,
    status: 'pending',
    statusReason: null,
    workspace: {
      mode: 'volume',
      path: source.workspace.path,
      source:
        source.workspace.mode === 'volume'
          ? source.workspace.source
          : { kind: 'directory', path: source.workspace.path },
      base: checkpoint.workspace,
    },
    sandboxSpec: checkpoint.sandboxSpec,
    dependsOn: [],
    forkedFrom: { taskId: source.id, checkpointId: checkpoint.id },
    headCheckpointId: own.id,
    version: 1,
    createdAt: at,
    updatedAt: at,
    startedAt: null,
    endedAt: null,
  };
}
