import type { Checkpoint } from '../domain/checkpoint.ts';
import type { TaskId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import { assertAgentWork } from '../policy/agent-work.ts';
import { commitTask } from './commit-work.ts';
import type { Kernel } from './kernel.ts';
import { mergeTask } from './merge-work.ts';
import { runOperation } from './run-operation.ts';
import type { Call, CheckpointService } from './services.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import { settleAbandonedWork, settleRecorded } from './settle-work.ts';
import { assertNobodyRunsIn } from './shared-directory.ts';
import { invalid } from './validate.ts';
import { assertHere, stillHeld, withLease } from './with-lease.ts';
import type { ApplyOptions, ReviewOptions, TaskWorkApplied, WorkService } from './work-contract.ts';

/** So many paths of one kind are recorded. */
const mostRecorded = 100;

export function createWorkService(kernel: Kernel, keeper: SandboxKeeper, checkpoints: CheckpointService): WorkService {
  const { deps } = kernel;
  const workOf = async (taskId: TaskId, options: ReviewOptions, call: Call) => {
    const task = await deps.tasks.getTask(taskId);
    assertHere(kernel, task);
    if (task.workspace.mode !== 'volume')
      throw invalid('task', 'has a bind workspace', 'Its files are on the host already; look there.');
    const checkpoint = await checkpointOf(kernel, checkpoints, task, options, call);
    const { base } = task.workspace;
    const fromId = base === null ? null : await deps.workspaces.contentOf(base.id, call);
    return { task, checkpoint, fromId, toId: await deps.workspaces.contentOf(snapshotOf(checkpoint), call) };
  };
  return {
    assertAgentMay: (work) => assertAgentWork(deps.defaults.agentWork ?? 'branch', work),
    settle: (call) => settleAbandonedWork(kernel, call),
    merge: (taskId, options, call) => mergeTask(kernel, keeper, taskId, options, call),
    commit: (taskId, options, call) => commitTask(kernel, taskId, options, call),
    review: async (taskId, options, call) => {
      const { checkpoint, fromId, toId } = await workOf(taskId, options, call);
      return { checkpoint, ...(await deps.work.review(fromId, toId)) };
    },
    apply: async (taskId, options, call) => {
      const { accept = [], threeWay = false, dryRun = false } = options;
      const { task, checkpoint, fromId, toId } = await workOf(taskId, options, call);
      const directory = options.directory ?? sourceOf(task);
      const request = { directory, fromId, toId, accept, threeWay, operationId: null };
      if (dryRun) return { checkpoint, directory, ...(await deps.work.apply(request)) };
      return withLease(kernel, task, { sessionId: options.sessionId, sandbox: true }, call, async (leased) => {
        await settleRecorded(kernel, call);
        const intent = { directory, checkpointId: checkpoint.id };
        const operation = kernel.newOperation('work', task.id, leased.proof, intent);
        const { id } = operation;
        const forget = (): Promise<void> => deps.work.forget(id);
        const done = await runOperation(
          kernel,
          { operation, excludes: ['work', 'deletion'], detail: intent },
          leased,
          call,
          async () => {
            await assertNobodyRunsIn(kernel, directory, task.id);
            const applied = await deps.work.apply({
              ...request,
              operationId: id,
              confirm: stillHeld(kernel, leased),
              signal: leased.signal,
            });
            const result = { checkpoint, directory, ...applied };
            const verb = applied.applied ? {} : { verb: 'refused' };
            const outcome = { applied: applied.applied, total: applied.changed.length };
            return { result, ...verb, outcome, detail: recorded(result, options), puts: () => [] };
          },
          { clear: async () => deps.work.settle(id).then(forget) },
        );
        await forget().catch((error: unknown) =>
          deps.logger.debug('Notes of a change were not removed', { operationId: id, error: String(error) }),
        );
        return done;
      });
    },
  };
}

async function checkpointOf(
  { deps }: Kernel,
  checkpoints: CheckpointService,
  task: Task,
  { checkpoint, sessionId }: ReviewOptions,
  call: Call,
): Promise<Checkpoint> {
  if (checkpoint !== undefined) return deps.checkpoints.resolve(task.id, checkpoint);
  const under = sessionId === undefined ? {} : { sessionId };
  return checkpoints.create(task.id, { ...under, reason: 'to bring the work out' }, call);
}

function snapshotOf(checkpoint: Checkpoint): string {
  if (checkpoint.workspace !== null) return checkpoint.workspace.id;
  throw invalid('checkpoint', 'holds no workspace', 'Take another checkpoint.');
}

function sourceOf(task: Task): string {
  const source = task.workspace.mode === 'volume' ? task.workspace.source : { kind: 'empty' as const };
  if (source.kind === 'git') return source.repository;
  if (source.kind === 'directory') return source.path;
  throw invalid('directory', 'is not given, and the workspace began empty', 'Name the directory to apply to.');
}

function recorded(done: TaskWorkApplied, { accept = [] }: ApplyOptions) {
  const { checkpoint, directory, changed, merged, conflicts, refused } = done;
  const paths = (list: readonly string[]) => list.slice(0, mostRecorded).map((each) => each.toWellFormed());
  return {
    directory,
    checkpointId: checkpoint.id,
    total: changed.length,
    changed: paths(changed),
    merged: paths(merged),
    accepted: paths(accept),
    conflicts: paths(conflicts.map(({ path }) => path)),
    refused: refused.slice(0, mostRecorded).map(({ path, rule }) => ({ path: path.toWellFormed(), rule })),
  };
}
