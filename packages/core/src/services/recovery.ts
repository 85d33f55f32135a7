import type { Execution } from '../domain/execution.ts';
import type { ExecutionId, TaskId } from '../domain/ids.ts';
import { isId } from '../domain/ids.ts';
import type { Operation, OperationKind } from '../domain/operation.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Put } from '../ledger/put.ts';
import type { RecordType } from '../ledger/ledger-record.ts';
import { type Kernel, draft, finished } from './kernel.ts';
import { removeTraces } from './make-sandbox.ts';
import type { Call, RecoveredOperation } from './services.ts';

interface Resolution {
  readonly state: 'completed' | 'failed' | 'interrupted';
  readonly summary: string;
  readonly puts: readonly Put[];
}

/**
 * Resolves operations that their process will not finish: its process is gone, or its lease was taken. The caller holds the
 * task's lease and has passed the takeover barrier. Each is settled by what is found on the engine and on disk; running it
 * twice changes nothing.
 */
export async function recoverTask(kernel: Kernel, taskId: TaskId, call: Call): Promise<readonly RecoveredOperation[]> {
  const recovered: RecoveredOperation[] = [];
  for (const operation of await kernel.deps.tasks.listOpenOperations(taskId)) {
    if (!(await isAbandoned(kernel, operation))) continue;
    const resolution = await resolvers[operation.kind](kernel, operation);
    if (await settle(kernel, operation, resolution, call)) {
      recovered.push({
        operationId: operation.id,
        kind: operation.kind,
        resolution: resolution.state,
        summary: resolution.summary,
      });
    }
  }
  return recovered;
}

async function isAbandoned(kernel: Kernel, operation: Operation): Promise<boolean> {
  if (!kernel.deps.processes.isAlive(operation.owner)) return true;
  const { proof } = operation;
  if (proof === null) return false;
  const active = await kernel.deps.leases.listActive(operation.taskId);
  return !active.some((lease) => lease.id === proof.leaseId && lease.token === proof.token);
}

const resolvers: Record<OperationKind, (kernel: Kernel, operation: Operation) => Promise<Resolution> | Resolution> = {
  execution: resolveExecution,
  sandbox: resolveSandbox,
  restore: resolveRestore,
  checkpoint: resolveCheckpoint,
  fork: () => ({ state: 'interrupted', summary: 'the fork was not made', puts: [] }),
  // Deleting goes on from where it stopped when it is asked for again; the task stays usable until then.
  deletion: () => ({
    state: 'interrupted',
    summary: 'the deletion did not finish; delete the task again to finish it',
    puts: [],
  }),
};

async function resolveExecution(kernel: Kernel, operation: Operation): Promise<Resolution> {
  const id = operation.intent['executionId'];
  const execution =
    typeof id === 'string' && isId('execution', id) ? await kernel.deps.tasks.findExecution(id) : undefined;
  if (execution === undefined) return { state: 'interrupted', summary: 'an execution without a row', puts: [] };
  await endLeftovers(kernel, execution);
  const ended = await endedExecution(kernel, execution);
  const what = execution.command.kind === 'script' ? execution.command.script : execution.command.argv.join(' ');
  return {
    state: 'interrupted',
    summary: `${what.split('\n')[0]?.slice(0, 80) ?? ''}: interrupted, its process ${ended.reason === 'owner-died' ? 'died' : 'lost the lease'}`,
    puts: [{ noun: 'execution', value: ended }],
  };
}

/** A command may outlive the process of ours that ran it; its record ends only when it has ended. */
async function endLeftovers(kernel: Kernel, execution: Execution): Promise<void> {
  const sandbox = await kernel.deps.tasks.findSandbox(execution.taskId);
  const handle = sandbox?.ref == null ? undefined : await kernel.deps.runtime.find(sandbox.ref);
  if (handle === undefined) return;
  const { state } = await handle.inspect();
  if (state === 'paused') await handle.unpause();
  if (state === 'running' || state === 'paused') await handle.endExecution(execution.id);
}

async function endedExecution(kernel: Kernel, execution: Execution): Promise<Execution> {
  const { memory } = kernel.deps;
  const summary = (id: ExecutionId, stream: 'stdout' | 'stderr') =>
    memory.summariseOutput(execution.taskId, id, stream);
  const alive = kernel.deps.processes.isAlive(
    (await kernel.deps.tasks.findOperation(execution.operationId))?.owner ?? kernel.deps.processes.self(),
  );
  return {
    ...execution,
    state: 'interrupted',
    reason: alive ? 'fenced' : 'owner-died',
    stdout: await summary(execution.id, 'stdout'),
    stderr: await summary(execution.id, 'stderr'),
    endedAt: kernel.now(),
  };
}

/** A container that stands is adopted; otherwise its parts are removed and the task makes another one when it needs it. */
async function resolveSandbox(kernel: Kernel, operation: Operation): Promise<Resolution> {
  const { runtime, homeId, tasks } = kernel.deps;
  const row = await tasks.findSandbox(operation.taskId);
  const [standing] = await runtime.list({ homeId, taskId: operation.taskId, operationId: operation.id });
  if (row?.operationId === operation.id && standing?.state === 'running') {
    const sandbox: Sandbox = { ...row, state: 'running', ref: standing.ref, updatedAt: kernel.now() };
    return {
      state: 'completed',
      summary: 'the sandbox stood already and was adopted',
      puts: [{ noun: 'sandbox', value: sandbox }],
    };
  }
  await removeTraces(kernel, operation);
  const failed: Put[] =
    row?.operationId === operation.id
      ? [
          {
            noun: 'sandbox',
            value: { ...row, state: 'failed', ref: null, ...keptVolumes(row, operation), updatedAt: kernel.now() },
          },
        ]
      : [];
  return { state: 'failed', summary: 'the sandbox was not finished; its parts were removed', puts: failed };
}

/** Volumes that the operation made itself are gone with it; those it reused still hold the work. */
function keptVolumes(row: Sandbox, operation: Operation): Pick<Sandbox, 'workspaceVolume' | 'homeVolume'> {
  if (operation.intent['reuseVolumes'] === true)
    return { workspaceVolume: row.workspaceVolume, homeVolume: row.homeVolume };
  return { workspaceVolume: null, homeVolume: null };
}

async function resolveRestore(kernel: Kernel, operation: Operation): Promise<Resolution> {
  await removeTraces(kernel, operation);
  return { state: 'interrupted', summary: 'the restore did not finish; the task is as it was before', puts: [] };
}

async function resolveCheckpoint(kernel: Kernel, operation: Operation): Promise<Resolution> {
  const { tasks, runtime, images } = kernel.deps;
  const sandbox = await tasks.findSandbox(operation.taskId);
  const handle = sandbox?.ref == null ? undefined : await runtime.find(sandbox.ref);
  if (handle !== undefined && (await handle.inspect()).state === 'paused') await handle.unpause();
  const tag = operation.intent['imageTag'];
  if (typeof tag === 'string' && (await images.find(tag)) !== undefined) await images.remove(tag);
  return { state: 'interrupted', summary: 'the checkpoint was not taken', puts: [] };
}

/** False when another process settled it first. */
async function settle(kernel: Kernel, operation: Operation, resolution: Resolution, call: Call): Promise<boolean> {
  const type: RecordType = `${operation.kind}.${resolution.state}`;
  try {
    await kernel.commit({
      guard: { openOperation: operation.id },
      records: [
        draft({
          stream: operation.taskId,
          type,
          call,
          operationId: operation.id,
          puts: [
            {
              noun: 'operation',
              value: finished(
                operation,
                resolution.state,
                { recovered: true, summary: resolution.summary },
                kernel.now(),
              ),
            },
            ...resolution.puts,
          ],
          detail: { recovered: true, summary: resolution.summary },
        }),
      ],
    });
    return true;
  } catch (error) {
    if (isOpencodeToolsError(error, 'OCT_VERSION_CONFLICT')) return false;
    throw error;
  }
}
