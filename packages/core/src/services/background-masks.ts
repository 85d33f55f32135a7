import type { ExecutionId } from '../domain/ids.ts';
import type { Operation } from '../domain/operation.ts';
import type { EnvReference } from '../domain/sandbox-spec.ts';
import { OpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Kernel } from './kernel.ts';
import { type Redaction, createRedaction } from './redactor.ts';

type Mask = Redaction['mask'];

/** What hides the secrets of commands in the background, as long as they run; undefined for one that has none. */
const known = new WeakMap<Kernel, Map<ExecutionId, Mask | undefined>>();

/**
 * What tells later whether secrets that are looked up are those of now; absent where there are none. Values may change while a command
 * runs, and the mask of others would let its own pass.
 */
export async function markOf(
  kernel: Kernel,
  secrets: readonly Readonly<Record<string, string>>[],
): Promise<{ readonly secretsMark?: string }> {
  if (secrets.every((values) => Object.keys(values).length === 0)) return {};
  return { secretsMark: await kernel.deps.secrets.mark(secrets) };
}

/** For whoever starts a command: it knows the very values that the command got. */
export function rememberMask(
  kernel: Kernel,
  id: ExecutionId,
  secrets: readonly Readonly<Record<string, string>>[],
): void {
  masksOf(kernel).set(id, createRedaction(...secrets)?.mask);
}

export function forgetMask(kernel: Kernel, id: ExecutionId): void {
  masksOf(kernel).delete(id);
}

/**
 * What hides the secrets in an output, in any process. One that did not start the command looks up the secrets of its task, and
 * those of the command by its operation.
 *
 * @throws OpencodeToolsError as the resolver of secrets does; `OCT_INVALID_ARGUMENT` when they have other values by now
 */
export async function maskFor(
  kernel: Kernel,
  id: ExecutionId,
  { taskId, intent }: Operation,
): Promise<Mask | undefined> {
  const masks = masksOf(kernel);
  if (masks.has(id)) return masks.get(id);
  const task = await kernel.deps.tasks.getTask(taskId).catch((error: unknown) => {
    if (isOpencodeToolsError(error, 'OCT_TASK_NOT_FOUND')) return undefined;
    throw error;
  });
  const own = (intent['secrets'] ?? []) as unknown as readonly EnvReference[];
  const resolved = [task?.sandboxSpec.env ?? [], own].map(async (references) =>
    references.length === 0 ? {} : kernel.deps.secrets.resolve(references),
  );
  const secrets = await Promise.all(resolved);
  const { secretsMark } = await markOf(kernel, secrets);
  if (intent['secretsMark'] !== undefined && intent['secretsMark'] !== secretsMark)
    throw new OpencodeToolsError(
      'OCT_INVALID_ARGUMENT',
      `The secrets of ${id} have other values than when it started`,
      {
        remedy:
          'Ask where they have the values that the command got; stopping the task ends it, and its output is lost.',
        details: { argument: 'env', executionId: id },
      },
    );
  const injected = task === undefined ? [] : await kernel.deps.egress.injectedValues(task);
  rememberMask(kernel, id, [...secrets, ...injected]);
  return masks.get(id);
}

function masksOf(kernel: Kernel): Map<ExecutionId, Mask | undefined> {
  const found = known.get(kernel) ?? new Map<ExecutionId, Mask | undefined>();
  known.set(kernel, found);
  return found;
}
