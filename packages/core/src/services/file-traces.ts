import { type ExecutionId, isId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Operation } from '../domain/operation.ts';
import type { LeaseProof } from '../domain/session.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { type FileAccess, temporaryName } from '../ports/sandbox-files.ts';
import type { SandboxFacts, SandboxHandle } from '../ports/sandbox-runtime.ts';
import { currentFence } from './barrier.ts';
import { clip } from './clip.ts';
import type { FileChange } from './change-files.ts';
import { recordedPath } from './file-paths.ts';
import type { Kernel } from './kernel.ts';
import { awaitQuiet, isAbandoned } from './quiet.ts';
import type { Resolution } from './recovery.ts';
import { assertNobodyWritesIn } from './shared-directory.ts';

const limitMs = 30_000;
/** What is there until it takes its place is put there by these. */
const placing: ReadonlySet<unknown> = new Set(['write', 'edit', 'copy-in']);

export interface FileTraces extends JsonObject {
  /** What all that runs for the change is ended by. */
  readonly executionId: ExecutionId;
  /** The path where its record is not exact. */
  readonly exactPath: string | null;
  /** Of the content, where it is known before. */
  readonly digest: string | null;
}

/** What a change can be found by, should its process die. */
export function newTraces(kernel: Kernel, path: string, change: Pick<FileChange<object>, 'args'>): FileTraces {
  const { digest } = change.args;
  return {
    executionId: kernel.deps.ids.next('execution'),
    exactPath: recordedPath(path) === path ? null : Buffer.from(path, 'utf16le').toString('base64'),
    digest: typeof digest === 'string' ? digest : null,
  };
}

/**
 * Ends what still runs for a change, and removes what it has beside its place. A sandbox that is stopped or paused is started for
 * that and is as before afterwards, unless it is used by then.
 *
 * @returns the sandbox while it runs; undefined when there is none, or nothing had to be removed
 */
export async function clearTraces<T = void>(
  kernel: Kernel,
  operation: Operation,
  proof: LeaseProof,
  look?: (handle: SandboxHandle, access: FileAccess) => Promise<T>,
): Promise<T | undefined> {
  const { executionId, verb } = operation.intent;
  if (typeof executionId !== 'string' || !isId('execution', executionId)) return undefined;
  const row = await kernel.deps.tasks.findSandbox(operation.taskId);
  const handle = row?.ref == null ? undefined : await kernel.deps.runtime.find(row.ref);
  if (handle === undefined) return undefined;
  const path = pathOf(operation);
  const before = placing.has(verb) ? await wake(kernel, handle, operation) : 'running';
  try {
    if ((await handle.inspect()).state !== 'running') return undefined;
    await handle.endExecution(executionId);
    const access = { executionId, token: proof.token, timeoutMs: limitMs };
    if (placing.has(verb)) await handle.files.removeTemporary(access, { path, temporary: temporaryOf(executionId) });
    return await look?.(handle, access);
  } finally {
    if (before !== 'running' && !(await isUsed(kernel, operation, proof)))
      await (before === 'paused' ? handle.pause() : handle.stop(0));
  }
}

/** Name of what a change has beside its place. */
export function temporaryOf(executionId: string): string {
  return temporaryName(executionId.slice(executionId.indexOf('_') + 1));
}

/** A file is replaced in one step, so it is as it was before or as it was to be; what is found says which, where that can be told. */
export async function resolveFile(kernel: Kernel, operation: Operation, proof: LeaseProof): Promise<Resolution> {
  const { verb, path, digest, executionId } = operation.intent;
  const what = `${textOf(verb)} of ${clip(textOf(path), 120)}`;
  try {
    const done = await clearTraces(kernel, operation, proof, async ({ files }, access) => {
      if (verb === 'write' && typeof digest === 'string') return (await digestOf(files, access, operation)) === digest;
      if (verb === 'remove') return (await files.stat(access, pathOf(operation)).catch(absent)) === undefined;
      return undefined;
    });
    if (done === true) return { state: 'completed', summary: `${what}: it was done`, puts: [] };
    if (done === undefined) return unknown(`${what}: it is not known whether it was done`);
    const found = `it was not done${verb === 'remove' ? ', or not to its end' : '; the file is as it was before'}`;
    return { state: 'interrupted', summary: `${what}: ${found}`, puts: [] };
  } catch (error) {
    kernel.deps.logger.warn('What a change of files left was not removed', {
      operationId: operation.id,
      error: String(error),
    });
    const left = placing.has(verb) ? `; ${temporaryOf(textOf(executionId))} may be left beside it` : '';
    return unknown(`${what}: it is not known whether it was done${left}`);
  }
}

function unknown(summary: string): Resolution {
  return { state: 'interrupted', summary, effect: 'unknown', puts: [] };
}

async function digestOf(files: SandboxHandle['files'], access: FileAccess, operation: Operation) {
  const read = files.read(access, { path: pathOf(operation), limitBytes: 0, withDigest: true });
  return (await read.catch(absent))?.digest;
}

function absent(error: unknown): undefined {
  if (isOpencodeToolsError(error, 'OCT_FILE_NOT_FOUND')) return undefined;
  throw error;
}

/** @returns what it was before */
async function wake(kernel: Kernel, handle: SandboxHandle, { taskId }: Operation): Promise<SandboxFacts['state']> {
  const { state } = await handle.inspect();
  if (state !== 'paused' && state !== 'stopped') return 'running';
  await awaitQuiet(kernel, taskId, ['checkpoint'], undefined);
  await assertNobodyWritesIn(kernel, await kernel.deps.tasks.getTask(taskId));
  if (state === 'paused') await handle.unpause();
  else {
    await handle.start();
    await handle.fence(await currentFence(kernel, taskId));
  }
  return state;
}

/** Somebody else has come to the sandbox, or another call of the same session works in it. */
async function isUsed(kernel: Kernel, { id, taskId }: Operation, proof: LeaseProof): Promise<boolean> {
  const { leases, tasks } = kernel.deps;
  if ((await leases.listActive(taskId)).some((lease) => lease.id !== proof.leaseId)) return true;
  for (const other of await tasks.listOpenOperations(taskId))
    if (other.id !== id && !(await isAbandoned(kernel, other))) return true;
  return false;
}

function pathOf({ intent: { path, exactPath } }: Operation): string {
  return typeof exactPath === 'string' ? Buffer.from(exactPath, 'base64').toString('utf16le') : textOf(path);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
