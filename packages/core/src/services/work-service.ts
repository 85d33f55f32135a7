import type { Checkpoint } from '../domain/checkpoint.ts';
import type { TaskId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import { assertAgentWork } from '../policy/agent-work.ts';
import { appliedLast } from './applied-last.ts';
import { carryWork, onceWhenDone, recordedPaths, recordedRules } from './carry-work.ts';
import { commitTask } from './commit-work.ts';
import type { Kernel } from './kernel.ts';
import { mergeTask } from './merge-work.ts';
import type { Call, CheckpointService } from './services.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import { settleAbandonedWork } from './settle-work.ts';
import { assertNobodyRunsIn } from './shared-directory.ts';
import { invalid } from './validate.ts';
import { assertHere, stillHeld, withLease } from './with-lease.ts';
import type { ApplyOptions, ReviewOptions, TaskWorkApplied, WorkService } from './work-contract.ts';

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
      const { accept = [], threeWay = false, dryRun = false, directory: to = null, checkpoint: at = null } = options;
      const args = { taskId, accept, threeWay, dryRun, to, at };
      return onceWhenDone(kernel, call, 'apply', args, async (key, inner) => {
        const { task, checkpoint, fromId, toId } = await workOf(taskId, options, inner);
        const directory = await deps.work.target(to ?? sourceOf(task));
        const lastId = await appliedLast(kernel, task, directory, inner);
        const request = { directory, fromId, toId, lastId, accept, threeWay };
        if (dryRun) return { checkpoint, directory, ...(await deps.work.apply({ ...request, operationId: null })) };
        return withLease(kernel, task, { sessionId: options.sessionId, sandbox: true }, inner, async (leased) => {
          const intent = { directory, checkpointId: checkpoint.id };
          const carrying = { task, intent, excludes: ['work', 'deletion'], leased, key } as const;
          return carryWork(kernel, carrying, inner, async (operationId) => {
            await assertNobodyRunsIn(kernel, directory, task.id);
            const applied = await deps.work.apply({
              ...request,
              operationId,
              confirm: stillHeld(kernel, leased),
              signal: leased.signal,
            });
            const result = { checkpoint, directory, ...applied };
            const done = applied.applied;
            const outcome = { applied: done, total: applied.changed.length };
            return { result, done, ...(done ? {} : { verb: 'refused' }), outcome, detail: recorded(result, options) };
          });
        });
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
  return {
    directory,
    checkpointId: checkpoint.id,
    total: changed.length,
    changed: recordedPaths(changed),
    merged: recordedPaths(merged),
    accepted: recordedPaths(accept),
    conflicts: recordedPaths(conflicts.map(({ path }) => path)),
    refused: recordedRules(refused),
  };
}
