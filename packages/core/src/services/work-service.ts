import type { Checkpoint } from '../domain/checkpoint.ts';
import type { TaskId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import { type Kernel, draft, leaseGuard } from './kernel.ts';
import type { Call, CheckpointService } from './services.ts';
import { invalid } from './validate.ts';
import { assertHere, withLease } from './with-lease.ts';
import type { ApplyOptions, ReviewOptions, TaskWorkApplied, WorkService } from './work-contract.ts';

/** So many paths of one kind are recorded. */
const mostRecorded = 100;

export function createWorkService(kernel: Kernel, checkpoints: CheckpointService): WorkService {
  const { deps } = kernel;
  const workOf = async (taskId: TaskId, options: ReviewOptions, call: Call) => {
    const task = await deps.tasks.getTask(taskId);
    assertHere(kernel, task);
    if (task.workspace.mode !== 'volume')
      throw invalid('task', 'has a bind workspace', 'Its files are on the host already; look there.');
    const checkpoint = await checkpointOf(checkpoints, task, options, call);
    return { task, checkpoint, fromId: task.workspace.base?.id ?? null, toId: snapshotOf(checkpoint) };
  };
  return {
    review: async (taskId, options, call) => {
      const { checkpoint, fromId, toId } = await workOf(taskId, options, call);
      return { checkpoint, ...(await deps.work.review(fromId, toId)) };
    },
    apply: async (taskId, options, call) => {
      const { accept = [], dryRun = false } = options;
      const { task, checkpoint, fromId, toId } = await workOf(taskId, options, call);
      const directory = options.directory ?? sourceOf(task);
      const request = { directory, fromId, toId, accept };
      if (dryRun) return { checkpoint, directory, ...(await deps.work.apply({ ...request, dryRun })) };
      return withLease(kernel, task, { sessionId: options.sessionId, sandbox: false }, call, async (leased) => {
        const applied = await deps.work.apply({ ...request, dryRun, signal: leased.signal });
        const done = { checkpoint, directory, ...applied };
        await kernel.commit({
          guard: leaseGuard(leased.proof, true),
          records: [
            draft({
              stream: task.id,
              type: applied.applied ? 'task.work_applied' : 'task.work_refused',
              call,
              proof: leased.proof,
              detail: recorded(done, options),
            }),
          ],
        });
        return done;
      });
    },
  };
}

async function checkpointOf(
  checkpoints: CheckpointService,
  task: Task,
  { checkpoint, sessionId }: ReviewOptions,
  call: Call,
): Promise<Checkpoint> {
  const under = sessionId === undefined ? {} : { sessionId };
  if (checkpoint === undefined) return checkpoints.create(task.id, { ...under, reason: 'to bring the work out' }, call);
  const all = await checkpoints.list(task.id);
  const found = all.filter(({ id, name }) => id === checkpoint || id.endsWith(checkpoint) || name === checkpoint);
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  throw invalid(
    'checkpoint',
    `${found.length} are called ${checkpoint}`,
    'Give a full id, a short id or a unique name.',
  );
}

function snapshotOf(checkpoint: Checkpoint): string {
  if (checkpoint.workspace?.store === 'content') return checkpoint.workspace.id;
  throw invalid('checkpoint', 'holds no workspace in the content store', 'Take another checkpoint.');
}

function sourceOf(task: Task): string {
  const source = task.workspace.mode === 'volume' ? task.workspace.source : { kind: 'empty' as const };
  if (source.kind === 'git') return source.repository;
  if (source.kind === 'directory') return source.path;
  throw invalid('directory', 'is not given, and the workspace began empty', 'Name the directory to apply to.');
}

function recorded(done: TaskWorkApplied, { accept = [] }: ApplyOptions) {
  const { checkpoint, directory, changed, conflicts, refused } = done;
  const paths = (list: readonly string[]) => list.slice(0, mostRecorded).map((each) => each.toWellFormed());
  return {
    directory,
    checkpointId: checkpoint.id,
    total: changed.length,
    changed: paths(changed),
    accepted: paths(accept),
    conflicts: paths(conflicts.map(({ path }) => path)),
    refused: refused.slice(0, mostRecorded).map(({ path, rule }) => ({ path: path.toWellFormed(), rule })),
  };
}
