import { shortId } from '../domain/ids.ts';
import type { TaskId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import type { MergedWork } from '../ports/work-port.ts';
import { workBranchPrefix } from '../policy/agent-work.ts';
import { bundleCommits } from './bundle-commits.ts';
import type { Call } from './call.ts';
import type { Kernel } from './kernel.ts';
import { putAway } from './reach-files.ts';
import { runOperation } from './run-operation.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import { settleRecorded } from './settle-work.ts';
import { invalid, oneLine } from './validate.ts';
import { assertHere, stillHeld, withLease } from './with-lease.ts';
import type { MergeOptions, TaskWorkMerged } from './work-contract.ts';

const mostRecorded = 100;

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
  return withLease(kernel, task, { sessionId: options.sessionId, sandbox: true }, call, async (leased) => {
    try {
      await settleRecorded(kernel, call);
      const intent = { directory: repository, branch, base };
      const operation = kernel.newOperation('work', task.id, leased.proof, intent);
      const { id } = operation;
      const forget = (): Promise<void> => deps.work.forget(id);
      const done = await runOperation(
        kernel,
        { operation, excludes: ['work', 'restore', 'deletion'], detail: intent },
        leased,
        call,
        async () => {
          const sink = await deps.work.receive(id);
          const at = into === undefined ? await deps.work.branchTip(repository, branch) : null;
          const any = await bundleCommits(kernel, keeper, task, { ref, base, at, sink }, leased, call);
          if (!any) throw invalid('task', 'has nothing that its source lacks', 'Let it change something first.');
          const message = `Merge task ${shortId(task.id)}: ${task.title}`;
          const request = {
            repository,
            base,
            branch,
            into: into !== undefined,
            accept,
            message,
            operationId: id,
            dryRun,
          };
          const result = {
            repository,
            ...(await deps.work.merge({ ...request, confirm: stillHeld(kernel, leased), signal: leased.signal })),
          };
          const verb = result.merged ? {} : { verb: dryRun ? 'reviewed' : 'refused' };
          return {
            result,
            ...verb,
            outcome: { merged: result.merged },
            detail: recorded(result, accept),
            puts: () => [],
          };
        },
        { clear: async () => deps.work.settle(id).then(forget) },
      );
      await forget().catch((error: unknown) =>
        deps.logger.debug('What was received of a task was not removed', { operationId: id, error: String(error) }),
      );
      return done;
    } finally {
      if (options.sessionId === undefined) await putAway(kernel, keeper, task.id, leased, call);
    }
  });
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
  const paths = (list: readonly string[]) => list.slice(0, mostRecorded).map((each) => each.toWellFormed());
  return {
    directory: repository,
    branch,
    how,
    commit,
    commits,
    workTree,
    total: changes.length,
    accepted: paths(accept),
    conflicts: paths(conflicts.map(({ path }) => path)),
    refused: refused.slice(0, mostRecorded).map(({ path, rule }) => ({ path: path.toWellFormed(), rule })),
  };
}
