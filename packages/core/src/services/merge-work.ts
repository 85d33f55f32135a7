import { shortId } from '../domain/ids.ts';
import type { TaskId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import type { MergedWork } from '../ports/work-port.ts';
import { workBranchPrefix } from '../policy/agent-work.ts';
import { bundleCommits, lastWork } from './bundle-commits.ts';
import type { Call } from './call.ts';
import { carryWork, onceWhenDone, recordedPaths, recordedRules } from './carry-work.ts';
import type { Kernel } from './kernel.ts';
import { putAway } from './reach-files.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import { assertNobodyRunsIn } from './shared-directory.ts';
import { invalid, oneLine } from './validate.ts';
import { assertHere, stillHeld, withLease } from './with-lease.ts';
import type { MergeOptions, TaskWorkMerged } from './work-contract.ts';

/** See `WorkService.merge`. */
export async function mergeTask(
  kernel: Kernel,
  keeper: SandboxKeeper,
  taskId: TaskId,
  options: MergeOptions,
  call: Call,
): Promise<TaskWorkMerged> {
  const { deps } = kernel;
  const task = await deps.tasks.getTask(taskId);
  assertHere(kernel, task);
  const { repository, commit: base } = sourceOf(task);
  const { accept = [], dryRun = false, into } = options;
  const ref = checkRef(options.ref ?? 'HEAD');
  const branch = oneLine('branch', into ?? options.branch ?? `${workBranchPrefix}${shortId(task.id)}`, 200);
  if (into !== undefined && options.branch !== undefined)
    throw invalid('into', 'is given with a branch', 'Name a branch to make, or one to merge into.');
  const args = { taskId, ref, branch, into: into ?? null, accept, dryRun };
  return onceWhenDone(kernel, call, 'merge', args, (key, inner) =>
    withLease(kernel, task, { sessionId: options.sessionId, sandbox: true }, inner, async (leased) => {
      const intent = { directory: repository, branch, base };
      const carrying = { task, intent, excludes: ['work', 'restore', 'deletion'], leased, key } as const;
      try {
        return await carryWork(kernel, carrying, inner, async (operationId) => {
          const sink = await deps.work.receive(operationId);
          const at = into === undefined ? await deps.work.branchTip(repository, branch) : lastWork;
          const any = await bundleCommits(kernel, keeper, task, { ref, base, at, sink }, leased, inner);
          if (!any) throw invalid('task', 'has nothing that its source lacks', 'Let it change something first.');
          const result = {
            repository,
            ...(await deps.work.merge({
              repository,
              base,
              branch,
              into: into !== undefined,
              accept,
              message: `Merge task ${shortId(task.id)}: ${task.title}`,
              operationId,
              dryRun,
              confirm: async (workTree) => {
                if (workTree !== null) await assertNobodyRunsIn(kernel, workTree, task.id);
                await stillHeld(kernel, leased)();
              },
              signal: leased.signal,
            })),
          };
          const done = result.merged;
          const verb = done ? {} : { verb: dryRun ? 'reviewed' : 'refused' };
          return { result, done, ...verb, outcome: { merged: done }, detail: recorded(result, accept) };
        });
      } finally {
        if (options.sessionId === undefined) await putAway(kernel, keeper, task.id, leased, inner);
      }
    }),
  );
}

function sourceOf({ workspace }: Task): { readonly repository: string; readonly commit: string } {
  if (workspace.mode === 'volume' && workspace.source.kind === 'git') return workspace.source;
  throw invalid(
    'task',
    'has a workspace that did not begin with a git repository',
    'Bring its files out with `apply`.',
  );
}

function checkRef(ref: string): string {
  if (/^[^\s-][^\s]{0,199}$/.test(ref) && ref.isWellFormed()) return ref;
  throw invalid('ref', `is ${JSON.stringify(ref.slice(0, 80))}`, 'Name a branch, tag or commit of the task.');
}

function recorded(
  {
    repository,
    branch,
    how,
    commit,
    commits,
    workTree,
    changes,
    conflicts,
    refused,
  }: MergedWork & { readonly repository: string },
  accept: readonly string[],
) {
  return {
    directory: repository,
    branch,
    how,
    commit,
    commits,
    workTree,
    total: changes.length,
    accepted: recordedPaths(accept),
    conflicts: recordedPaths(conflicts.map(({ path }) => path)),
    refused: recordedRules(refused),
  };
}
