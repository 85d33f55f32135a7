import type { TaskId } from '../domain/ids.ts';
import type { Operation } from '../domain/operation.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { isWithin } from '../policy/forbidden-host-path.ts';
import type { SandboxFacts } from '../ports/sandbox-runtime.ts';
import type { Kernel } from './kernel.ts';
import { isAbandoned } from './quiet.ts';

/**
 * Makes sure that no sandbox of another task has a directory of the host that is about to be written: its commands could put a
 * symbolic link in place of a directory meanwhile, and what is written would land behind it.
 *
 * @param own the task that the writing is for; its own sandbox is put away by then
 * @throws OpencodeToolsError `OCT_POLICY_DENIED`
 */
export async function assertNobodyRunsIn(kernel: Kernel, directory: string, own: TaskId): Promise<void> {
  const others = (await sandboxesIn(kernel, directory)).filter(({ taskId }) => taskId !== own);
  const [other] = others;
  if (other === undefined) return;
  throw denied(
    `The sandbox of ${other.taskId ?? other.name} has ${directory}, or a part of it, and has not stopped`,
    `Stop it first: \`opencode-tools stop ${other.taskId ?? other.name}\`.`,
    { directory, sandboxes: others.map(({ name }) => name) },
  );
}

/** Where nothing listens for calls no sandbox runs; an engine that is slow, or lets nobody in, may have some. */
async function sandboxesIn(kernel: Kernel, directory: string): Promise<readonly SandboxFacts[]> {
  try {
    return await kernel.deps.runtime.listIn(directory);
  } catch (error) {
    if (isOpencodeToolsError(error, 'OCT_ENGINE_UNAVAILABLE') && nobodyListens(error)) return [];
    throw error;
  }
}

function nobodyListens({ details, message }: OpencodeToolsError): boolean {
  const { answers } = details;
  const said = Array.isArray(answers) ? answers.map((answer) => JSON.stringify(answer)) : [message];
  return said.every((text) => /\b(?:ENOENT|ECONNREFUSED)\b/.test(text));
}

/**
 * Makes sure that nobody writes into the directory of a task just now, before and after its sandbox starts.
 *
 * @throws OpencodeToolsError `OCT_POLICY_DENIED`
 */
export async function assertNobodyWritesIn(kernel: Kernel, { id, workspace }: Task): Promise<void> {
  if (workspace.mode !== 'bind') return;
  for (const operation of await kernel.deps.tasks.listOpenOperations()) {
    if (operation.taskId === id || !isWriting(operation, workspace.path)) continue;
    if (await isAbandoned(kernel, operation)) continue;
    throw denied(
      `${workspace.path}, or a part of it, is being written for ${operation.taskId}`,
      'Try again when that is done.',
      { directory: workspace.path, operationId: operation.id, kind: operation.kind },
    );
  }
}

function isWriting(operation: Operation, path: string): boolean {
  const directory = writtenDirectory(operation);
  return directory !== undefined && (isWithin(directory, path) || isWithin(path, directory));
}

/** The directory whose files an operation writes; what goes to a branch leaves them to git. */
export function writtenDirectory({ kind, intent }: Operation): string | undefined {
  const { directory, branch } = intent;
  const writes = kind === 'restore' || (kind === 'work' && branch === undefined);
  return writes && typeof directory === 'string' ? directory : undefined;
}

function denied(message: string, remedy: string, details: Record<string, string | readonly string[]>) {
  return new OpencodeToolsError('OCT_POLICY_DENIED', message, { remedy, details });
}
