import type { TaskId } from '../domain/ids.ts';
import type { CommittedWork } from '../ports/work-port.ts';
import { boundDirectories } from './bound-directories.ts';
import type { Call } from './call.ts';
import type { Kernel } from './kernel.ts';
import { runOperation } from './run-operation.ts';
import { settleRecorded } from './settle-work.ts';
import { invalid } from './validate.ts';
import { assertHere, stillHeld, withLease } from './with-lease.ts';
import type { CommitOptions } from './work-contract.ts';

const mostRecorded = 100;
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
  const { accept = [], dryRun = false, author = null } = options;
  const message = checkMessage(options.message);
  return withLease(kernel, task, { sessionId: options.sessionId, sandbox: true }, call, async (leased) => {
    await settleRecorded(kernel, call);
    const intent = { directory: workspace.path, branch: 'HEAD' };
    const operation = kernel.newOperation('work', task.id, leased.proof, intent);
    const { id: operationId } = operation;
    const forget = (): Promise<void> => deps.work.forget(operationId);
    const request = { directory: workspace.path, message, author, accept, operationId, dryRun };
    const done = await runOperation(
      kernel,
      { operation, excludes: ['work', 'restore', 'deletion'], detail: intent },
      leased,
      call,
      async () => {
        const result = await deps.work.commit({
          ...request,
          bound: await boundDirectories(kernel),
          confirm: stillHeld(kernel, leased),
          signal: leased.signal,
        });
        if (result.commit === null && result.conflicts.length === 0)
          throw invalid('task', 'has nothing to commit', 'Let it change something first.');
        const verb = result.committed ? {} : { verb: dryRun ? 'reviewed' : 'refused' };
        const outcome = { committed: result.committed };
        return { result, ...verb, outcome, detail: recorded(result, accept), puts: () => [] };
      },
      { clear: async () => deps.work.settle(operationId).then(forget) },
    );
    await forget().catch((error: unknown) =>
      deps.logger.debug('Copies of what was committed were not removed', { operationId, error: String(error) }),
    );
    return done;
  });
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
  const paths = (list: readonly string[]) => list.slice(0, mostRecorded).map((each) => each.toWellFormed());
  return {
    directory: repository,
    branch,
    commit,
    total: changes.length,
    changed: paths(changes.map(({ path }) => path)),
    accepted: paths(accept),
    conflicts: paths(conflicts.map(({ path }) => path)),
    leftOut: paths(leftOut),
    refused: refused.slice(0, mostRecorded).map(({ path, rule }) => ({ path: path.toWellFormed(), rule })),
  };
}
