import type { Execution, OutputSummary } from '../domain/execution.ts';
import { isId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Operation, OperationKind } from '../domain/operation.ts';
import type { LeaseProof } from '../domain/session.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { sha256 } from '../ledger/chain.ts';
import type { Put } from '../ledger/put.ts';
import type { SandboxFacts, SandboxHandle } from '../ports/sandbox-runtime.ts';
import type { OutputStream } from '../ports/task-memory.ts';
import { endOfBackground, isBackground } from './background-end.ts';
import { currentFence } from './barrier.ts';
import { describeCommand } from './compose-execution.ts';
import { clip } from './clip.ts';
import { resolveFile } from './file-traces.ts';
import { type Kernel, draft, finished, leaseGuard } from './kernel.ts';
import { removeTraces } from './remove-traces.ts';
import { awaitQuiet, isAbandoned, isLeaseActive } from './quiet.ts';
import { directoryPuts, restoreDirectory } from './restore-directory.ts';
import type { Call, RecoveredOperation } from './services.ts';
import { settleWork } from './settle-work.ts';
import { forgetWorkspace, trippedRecords } from './tripwire-watch.ts';

/** How an abandoned operation is settled. */
export interface Resolution {
  readonly state: 'completed' | 'failed' | 'interrupted';
  readonly summary: string;
  /** Nobody can tell whether what is interrupted was done. Absent: it was not. */
  readonly effect?: 'unknown';
  readonly puts: readonly Put[];
  /** What a restore that is finished says of itself besides its end. */
  readonly restored?: JsonObject;
  /** Removes what the operation left, once this process has recorded the resolution. */
  readonly clear?: () => Promise<void>;
}

/**
 * Resolves operations that nobody will finish: the process is gone or gave up, or its lease was taken. The caller holds the
 * task's lease and has passed the takeover barrier. Each is settled by what is found on the engine and on disk; running it
 * twice changes nothing. Changes of a user's directory are settled without the lease, see `settleWork`.
 *
 * @param proof the caller's lease: what it finds is written only while that is held
 * @throws OpencodeToolsError `OCT_LEASE_LOST`
 */
export async function recoverTask(
  kernel: Kernel,
  proof: LeaseProof,
  call: Call,
): Promise<readonly RecoveredOperation[]> {
  const recovered: RecoveredOperation[] = [];
  for (const operation of await kernel.deps.tasks.listOpenOperations(proof.taskId)) {
    if (!(await isAbandoned(kernel, operation))) continue;
    if (operation.kind === 'work') {
      const settled = await settleWork(kernel, operation, call);
      if (settled !== null) recovered.push(settled);
      continue;
    }
    const resolution = await resolvers[operation.kind](kernel, operation, proof);
    if (resolution === null || !(await settle(kernel, operation, resolution, proof, call))) continue;
    const { state, summary } = resolution;
    recovered.push({ operationId: operation.id, kind: operation.kind, resolution: state, summary });
  }
  return recovered;
}

const resolvers: Record<
  Exclude<OperationKind, 'work'>,
  (kernel: Kernel, operation: Operation, proof: LeaseProof) => Promise<Resolution | null> | Resolution
> = {
  execution: resolveExecution,
  file: resolveFile,
  sandbox: resolveSandbox,
  restore: resolveRestore,
  checkpoint: resolveCheckpoint,
  egress: resolveEgress,
  // Deleting goes on from where it stopped when it is asked for again; the task stays usable until then.
  deletion: () => ({
    state: 'interrupted',
    summary: 'the deletion did not finish; delete the task again to finish it',
    puts: [],
  }),
};

/** Null for a command in the background that goes on under its lease, although who started it is gone. */
async function resolveExecution(kernel: Kernel, operation: Operation): Promise<Resolution | null> {
  const id = operation.intent['executionId'];
  const execution =
    typeof id === 'string' && isId('execution', id) ? await kernel.deps.tasks.findExecution(id) : undefined;
  if (execution === undefined) return { state: 'interrupted', summary: 'an execution without a row', puts: [] };
  const handle = await awakeSandbox(kernel, operation);
  if (isBackground(operation)) return resolveBackground(kernel, handle, execution, operation);
  await handle?.endExecution(execution.id);
  const dead = !kernel.deps.processes.isAlive(operation.owner);
  const ended: Execution = {
    ...execution,
    state: 'interrupted',
    reason: dead ? 'owner-died' : 'fenced',
    stdout: await summarise(kernel, execution, 'stdout'),
    stderr: await summarise(kernel, execution, 'stderr'),
    endedAt: kernel.now(),
  };
  const what = clip(describeCommand(execution.command), 80);
  const summary = `${what}: interrupted, its process ${dead ? 'died' : 'lost the lease'}`;
  return { state: 'interrupted', summary, puts: [{ noun: 'execution', value: ended }] };
}

async function resolveBackground(
  kernel: Kernel,
  handle: SandboxHandle | undefined,
  execution: Execution,
  operation: Operation,
): Promise<Resolution | null> {
  const held = await isLeaseActive(kernel, operation);
  const end = await endOfBackground(kernel, handle, { execution, operation }, held ? {} : { endAs: 'fenced' });
  if (end === null) return null;
  const { state, execution: ended } = end;
  const summary = `${clip(describeCommand(execution.command), 80)}: ${ended.reason ?? state}, in the background`;
  const clear = async (): Promise<void> => {
    await forgetWorkspace(kernel, operation);
    await handle?.background.forget(execution.id);
  };
  return { state, summary, puts: [{ noun: 'execution', value: ended }], clear };
}

/** The task's sandbox with its processes able to run, so that they can be ended; undefined when none runs. */
async function awakeSandbox(kernel: Kernel, operation: Operation): Promise<SandboxHandle | undefined> {
  const sandbox = await kernel.deps.tasks.findSandbox(operation.taskId);
  const handle = sandbox?.ref == null ? undefined : await kernel.deps.runtime.find(sandbox.ref);
  if (handle === undefined) return undefined;
  const { state } = await handle.inspect();
  if (state === 'paused') {
    await awaitQuiet(kernel, operation.taskId, ['checkpoint'], undefined);
    await handle.unpause();
  }
  return state === 'running' || state === 'paused' ? handle : undefined;
}

async function summarise(kernel: Kernel, execution: Execution, stream: OutputStream): Promise<OutputSummary> {
  try {
    return await kernel.deps.memory.summariseOutput(execution.taskId, execution.id, stream);
  } catch (error) {
    if (isOpencodeToolsError(error, 'OCT_EXECUTION_NOT_FOUND')) return { bytes: 0, digest: sha256('') };
    throw error;
  }
}

/** A container that stands is adopted; otherwise its parts are removed and the task makes another one when it needs it. */
async function resolveSandbox(kernel: Kernel, operation: Operation): Promise<Resolution> {
  const { runtime, tasks } = kernel.deps;
  const row = await tasks.findSandbox(operation.taskId);
  const own = row?.operationId === operation.id ? row : undefined;
  const standing = await findMade(kernel, operation);
  if (own !== undefined && standing?.state === 'running') {
    await (await runtime.find(standing.ref))?.fence(await currentFence(kernel, operation.taskId));
    const value = { ...own, state: 'running', ref: standing.ref, updatedAt: kernel.now() } as const;
    const puts = [{ noun: 'sandbox', value }] as const;
    return { state: 'completed', summary: 'the sandbox stood already and was adopted', puts };
  }
  const summary = 'the sandbox was not finished; its parts were removed';
  const clear = (): Promise<void> => removeTraces(kernel, operation);
  if (own === undefined) return { state: 'failed', summary, puts: [], clear };
  const made = operation.intent['madeVolumes'];
  const kept = (volume: string | null): string | null => (Array.isArray(made) && made.includes(volume) ? null : volume);
  const volumes = { workspaceVolume: kept(own.workspaceVolume), homeVolume: kept(own.homeVolume) };
  const value = { ...own, ...volumes, state: 'failed', ref: null, updatedAt: kernel.now() } as const;
  return { state: 'failed', summary, puts: [{ noun: 'sandbox', value }], clear };
}

/** What the operation made carries its id; what it took from the pool is named by its intent. */
async function findMade(kernel: Kernel, { id, taskId, intent }: Operation): Promise<SandboxFacts | undefined> {
  const { runtime, homeId } = kernel.deps;
  if (typeof intent['ref'] === 'string') return (await runtime.find(intent['ref']))?.inspect();
  const [made] = await runtime.list({ homeId, taskId, operationId: id });
  return made;
}

/** A restore into new volumes is dropped, one of a bound directory, which may be half written, is finished. */
async function resolveRestore(kernel: Kernel, operation: Operation): Promise<Resolution> {
  const { directory, checkpointId, savedCheckpointId = null } = operation.intent;
  const target =
    typeof checkpointId === 'string' && isId('checkpoint', checkpointId)
      ? await kernel.deps.checkpoints.find(checkpointId)
      : undefined;
  if (typeof directory === 'string' && target !== undefined) {
    await restoreDirectory(kernel, directory, target);
    const puts = await directoryPuts(kernel, target, await kernel.deps.tasks.findSandbox(operation.taskId));
    const restored = { checkpointId: target.id, savedCheckpointId };
    return { state: 'completed', summary: `the restore of ${target.name} was finished`, puts, restored };
  }
  const clear = (): Promise<void> => removeTraces(kernel, operation);
  return { state: 'interrupted', summary: 'the restore did not finish; the task is as it was before', puts: [], clear };
}

/** The network becomes what the task's row says; the row changes only when a change is finished. */
async function resolveEgress(kernel: Kernel, operation: Operation): Promise<Resolution> {
  const { tasks, runtime, egress } = kernel.deps;
  const task = await tasks.getTask(operation.taskId);
  const sandbox = await tasks.findSandbox(task.id);
  const handle = sandbox?.ref == null ? undefined : await runtime.find(sandbox.ref);
  const running = handle !== undefined && (await handle.inspect()).state === 'running';
  if (running && task.sandboxSpec.network.mode === 'policy') await egress.enforce(task, handle.ref, { anew: true });
  else await egress.release(task.id, handle?.ref ?? null);
  const { imageId } = operation.intent;
  const puts: Put[] = [];
  if (sandbox !== undefined && handle === undefined && typeof imageId === 'string') {
    puts.push({ noun: 'sandbox', value: { ...sandbox, imageId, ref: null, state: 'absent', updatedAt: kernel.now() } });
  }
  return { state: 'interrupted', summary: 'the network was not changed; it is as it was before', puts };
}

async function resolveCheckpoint(kernel: Kernel, operation: Operation): Promise<Resolution> {
  await awakeSandbox(kernel, operation);
  const tag = operation.intent['imageTag'];
  const clear = async (): Promise<void> => {
    if (typeof tag === 'string') await kernel.deps.images.remove(tag);
  };
  return { state: 'interrupted', summary: 'the checkpoint was not taken', puts: [], clear };
}

/** False when another process settled it first. */
async function settle(
  kernel: Kernel,
  operation: Operation,
  resolution: Resolution,
  proof: LeaseProof,
  call: Call,
): Promise<boolean> {
  const { state, summary, effect, puts, restored, clear } = resolution;
  const outcome = { recovered: true, summary, ...(effect === undefined ? {} : { effect }) };
  try {
    await kernel.commit({
      guard: { ...leaseGuard(proof), openOperation: operation.id },
      records: [
        draft({
          stream: operation.taskId,
          type: `${operation.kind}.${state}`,
          call,
          proof,
          operationId: operation.id,
          puts: [{ noun: 'operation', value: finished(operation, state, outcome, kernel.now()) }, ...puts],
          detail: outcome,
        }),
        ...(restored === undefined
          ? []
          : [draft({ stream: operation.taskId, type: 'task.restored', call, proof, detail: restored })]),
        ...puts.flatMap((put) => (put.noun === 'execution' ? trippedRecords(put.value, proof, call) : [])),
      ],
    });
  } catch (error) {
    if (isOpencodeToolsError(error, 'OCT_VERSION_CONFLICT')) return false;
    throw error;
  }
  await clearQuietly(kernel, operation, clear);
  return true;
}

/** What cannot be removed now carries the task's label and goes with the task. */
async function clearQuietly(kernel: Kernel, operation: Operation, clear: Resolution['clear']): Promise<void> {
  try {
    await clear?.();
  } catch (error) {
    kernel.deps.logger.warn('Parts of an abandoned operation were not removed', {
      operationId: operation.id,
      error: String(error),
    });
  }
}
