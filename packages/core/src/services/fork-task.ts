import type { Checkpoint } from '../domain/checkpoint.ts';
import type { TaskId } from '../domain/ids.ts';
import { asJson } from '../domain/json.ts';
import type { Task } from '../domain/task.ts';
import { clip } from './clip.ts';
import { idempotent } from './idempotent.ts';
import { type Kernel, draft } from './kernel.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, ForkTask } from './services.ts';
import { takeCheckpoint } from './take-checkpoint.ts';
import { oneLine } from './validate.ts';
import { withLease } from './with-lease.ts';

/**
 * Makes a task that starts where a checkpoint of another one is. Snapshots never change, so nothing is copied and the first
 * task is not touched; the new task's sandbox is made when it is first used.
 */
export async function forkTask(
  kernel: Kernel,
  keeper: SandboxKeeper,
  id: TaskId,
  options: ForkTask,
  call: Call,
): Promise<Task> {
  const source = await kernel.deps.tasks.getTask(id);
  const title = oneLine('title', options.title ?? `${clip(source.title, 190)} (fork)`, 200);
  return idempotent(
    kernel,
    call,
    'fork',
    { taskId: id, checkpoint: options.checkpoint ?? null, title },
    async (key) => {
      const checkpoint = await pickCheckpoint(kernel, keeper, source, options, call);
      const task = composeFork(kernel, source, checkpoint, title);
      await kernel.commit({
        records: [
          draft({
            stream: task.id,
            type: 'task.created',
            call,
            puts: [{ noun: 'task', value: task }],
            detail: { forkedFrom: source.id, checkpointId: checkpoint.id },
          }),
          draft({
            stream: source.id,
            type: 'fork.completed',
            call,
            detail: { taskId: task.id, checkpointId: checkpoint.id },
          }),
          draft({
            stream: 'home',
            type: 'task.created',
            call,
            detail: { taskId: task.id, title, forkedFrom: source.id },
          }),
        ],
        ...key.finished(asJson(task)),
      });
      return task;
    },
  );
}

/** The named checkpoint, else the newest; a task without any gets one first. */
async function pickCheckpoint(
  kernel: Kernel,
  keeper: SandboxKeeper,
  source: Task,
  options: ForkTask,
  call: Call,
): Promise<Checkpoint> {
  const { checkpoints } = kernel.deps;
  if (options.checkpoint !== undefined) return checkpoints.resolve(source.id, options.checkpoint);
  const head = source.headCheckpointId === null ? undefined : await checkpoints.find(source.headCheckpointId);
  if (head !== undefined) return head;
  return withLease(kernel, source, { sessionId: options.sessionId, sandbox: true }, call, async (leased) => {
    const input = { taskId: source.id, name: 'fork point', reason: 'Taken to fork the task', onlyIfChanged: false };
    return (await takeCheckpoint(kernel, keeper, input, leased, call)).checkpoint;
  });
}

function composeFork(kernel: Kernel, source: Task, checkpoint: Checkpoint, title: string): Task {
  const at = kernel.now();
  return {
    ...source,
    id: kernel.deps.ids.next('task'),
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
    headCheckpointId: checkpoint.id,
    version: 1,
    createdAt: at,
    updatedAt: at,
    startedAt: null,
    endedAt: null,
  };
}
