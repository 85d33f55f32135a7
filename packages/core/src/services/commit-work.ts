import type { TaskId } from '../domain/ids.ts';
import type { CommittedWork } from '../ports/work-port.ts';
import type { Call } from './call.ts';
import { carryWork, onceWhenDone, recordedPaths, recordedRules } from './carry-work.ts';
import type { Kernel } from './kernel.ts';
import { invalid } from './validate.ts';
import { assertHere, stillHeld, withLease } from './with-lease.ts';
import type { CommitOptions } from './work-contract.ts';

const longestMessage = 65_536;

/** See `WorkService.commit`. */
export async function commitTask(
  kernel: Kernel,
  taskId: TaskId,
  options: CommitOptions,
  call: Call,
): Promise<CommittedWork> {
  const { deps } = kernel;
  const task = await deps.tasks.getTask(taskId);
  assertHere(kernel, task);
  const { workspace } = task;
  if (workspace.mode !== 'bind')
    throw invalid('task', 'has a volume workspace', 'Bring its commits out with `merge`, or its files with `apply`.');
  const { accept = [], dryRun = false, author = null, paths } = options;
  if (paths?.length === 0) throw invalid('paths', 'names nothing', 'Name what to commit, or leave it out for all.');
  const message = checkMessage(options.message);
  const args = { taskId, message, author, accept, dryRun, ...(paths === undefined ? {} : { paths }) };
  return onceWhenDone(kernel, call, 'commit', args, (key, inner) =>
    withLease(kernel, task, { sessionId: options.sessionId, sandbox: true }, inner, async (leased) => {
      const intent = { directory: workspace.path, branch: 'HEAD' };
      const carrying = { task, intent, excludes: ['work', 'restore', 'deletion'], leased, key } as const;
      return carryWork(kernel, carrying, inner, async (operationId) => {
        const result = await deps.work.commit({
          directory: workspace.path,
          ...(paths === undefined ? {} : { paths }),
          message,
          author,
          accept,
          operationId,
          dryRun,
          confirm: stillHeld(kernel, leased),
          signal: leased.signal,
        });
        if (result.commit === null && result.conflicts.length === 0)
          throw invalid('task', 'has nothing to commit', 'Let it change something first.');
        const done = result.committed;
        const verb = done ? {} : { verb: dryRun ? 'reviewed' : 'refused' };
        return { result, done, ...verb, outcome: { committed: done }, detail: recorded(result, accept) };
      });
    }),
  );
}

function checkMessage(message: string): string {
  const text = message.trim();
  if (text !== '' && text.length <= longestMessage && text.isWellFormed() && !text.includes('\0')) return text;
  throw invalid('message', 'is empty, too long, or not text', 'Say in a line or more what the commit changes.');
}

function recorded(
  { repository, branch, commit, changes, conflicts, leftOut, refused }: CommittedWork,
  accept: readonly string[],
) {
  return {
    directory: repository,
    branch,
    commit,
    total: changes.length,
    changed: recordedPaths(changes.map(({ path }) => path)),
    accepted: recordedPaths(accept),
    conflicts: recordedPaths(conflicts.map(({ path }) => path)),
    leftOut: recordedPaths(leftOut),
    refused: recordedRules(refused),
  };
}
