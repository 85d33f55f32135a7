import type { Checkpoint } from '../domain/checkpoint.ts';
import type { TaskId } from '../domain/ids.ts';
import { type JsonObject, asJson } from '../domain/json.ts';
import type { Operation } from '../domain/operation.ts';
import type { Task } from '../domain/task.ts';
import { canonicalJson } from '../ledger/canonical-json.ts';
import { type ChainHead, sha256 } from '../ledger/chain.ts';
import type { Put } from '../ledger/put.ts';
import { type Captured, captureTask, isCapturedBy, rootImageTag } from './capture.ts';
import type { IdempotencyKey } from './idempotent.ts';
import type { Kernel } from './kernel.ts';
import { lostWork } from './lost-work.ts';
import { runHooks } from './run-hooks.ts';
import { type OperationEnd, runOperation } from './run-operation.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, NewCheckpoint } from './services.ts';
import type { LeasedWork } from './with-lease.ts';

export interface TakeCheckpoint {
  readonly taskId: TaskId;
  readonly name: string;
  readonly reason: string;
  /** True takes none when the newest checkpoint already holds the present. */
  readonly onlyIfChanged: boolean;
  /** True saves what there is where the engine has lost something, with a notice; by default that is an error. */
  readonly whatIsLeft?: boolean;
  readonly key?: IdempotencyKey;
}

/** A checkpoint, and whether it is a new one. */
export interface TakenCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly taken: boolean;
  readonly notices: readonly string[];
  /** What the engine has lost, of which the checkpoint has nothing or only what was saved before; each in one sentence. */
  readonly lost: readonly string[];
}

/**
 * Takes a checkpoint as one operation. It is recorded in the same transaction that finishes the operation, so it is whole or
 * does not exist.
 */
export async function takeCheckpoint(
  kernel: Kernel,
  keeper: SandboxKeeper,
  input: TakeCheckpoint,
  leased: LeasedWork,
  call: Call,
): Promise<TakenCheckpoint> {
  const { deps } = kernel;
  const { proof, session } = leased;
  const task = await deps.tasks.getTask(input.taskId);
  const context = { point: 'checkpoint:creating', task, agent: session.agent, model: session.model } as const;
  const hooks = await runHooks(kernel, { ...context, sessionId: session.id }, { stream: task.id, call, proof });
  const head = await deps.ledger.head(task.id);
  const planned = kernel.newOperation('checkpoint', task.id, proof, {});
  const imageTag = rootImageTag(task, planned.id);
  const operation: Operation = { ...planned, intent: { name: input.name, reason: input.reason, imageTag } };
  const excludes = ['sandbox', 'checkpoint', 'restore', 'deletion'] as const;
  return runOperation(
    kernel,
    { operation, excludes, detail: { ...operation.intent, ...hooks }, key: input.key },
    leased,
    call,
    async () => {
      call.onProgress?.('freezing the workspace');
      const { captured, isAllLost, losses, warnings, beginning } = await captureTask(
        kernel,
        keeper,
        task,
        operation.id,
        {
          signal: leased.signal,
          whatIsLeft: input.whatIsLeft,
        },
      );
      for (const warning of warnings) {
        call.onProgress?.(warning);
        deps.logger.warn(warning, { taskId: task.id });
      }
      if (isAllLost) throw await lostWork(kernel, task, 'the engine has nothing of its files any more');
      const current = task.headCheckpointId === null ? undefined : await deps.checkpoints.find(task.headCheckpointId);
      if (input.onlyIfChanged && current !== undefined && isCapturedBy(captured, current))
        return unchanged(current, warnings, losses);
      const sandboxSpec = beginning === undefined ? task.sandboxSpec : { ...task.sandboxSpec, imageId: beginning };
      const parts = { input, task: { ...task, sandboxSpec }, captured, operation, head, agent: session.agent };
      return taken(kernel, composeCheckpoint(kernel, parts), warnings, losses);
    },
    { clear: () => deps.images.remove(imageTag), clearsOwn: true },
  );
}

export function withNotices(checkpoint: Checkpoint, notices: readonly string[]): NewCheckpoint {
  return notices.length === 0 ? checkpoint : { ...checkpoint, notices };
}

export function asUnchanged(checkpoint: Checkpoint, notices: readonly string[]): NewCheckpoint {
  return { ...withNotices(checkpoint, notices), unchanged: true };
}

function recorded(warnings: readonly string[]): JsonObject {
  return warnings.length === 0 ? {} : { warning: warnings.join('\n') };
}

function unchanged(
  current: Checkpoint,
  warnings: readonly string[],
  lost: readonly string[],
): OperationEnd<TakenCheckpoint> {
  return {
    result: { checkpoint: current, taken: false, notices: warnings, lost },
    verb: 'unchanged',
    outcome: { checkpointId: current.id, unchanged: true },
    detail: { checkpointId: current.id, ...recorded(warnings) },
    stored: asJson(asUnchanged(current, warnings)),
    puts: () => [],
  };
}

function taken(
  kernel: Kernel,
  checkpoint: Checkpoint,
  warnings: readonly string[],
  lost: readonly string[],
): OperationEnd<TakenCheckpoint> {
  return {
    result: { checkpoint, taken: true, notices: warnings, lost },
    outcome: { checkpointId: checkpoint.id },
    detail: recorded(warnings),
    stored: asJson(withNotices(checkpoint, warnings)),
    puts: async () => {
      const task = await kernel.deps.tasks.getTask(checkpoint.taskId);
      const at = kernel.now();
      const { imageId: beginning } = checkpoint.sandboxSpec;
      const head: Task = {
        ...task,
        sandboxSpec: { ...task.sandboxSpec, imageId: beginning },
        headCheckpointId: checkpoint.id,
        version: task.version + 1,
        updatedAt: at,
      };
      const puts: Put[] = [
        { noun: 'checkpoint', value: checkpoint },
        { noun: 'task', value: head },
      ];
      const sandbox = await kernel.deps.tasks.findSandbox(task.id);
      // A sandbox that has to be made again starts from what was saved last.
      const imageId = checkpoint.root?.imageId;
      if (sandbox !== undefined && imageId !== undefined && imageId !== sandbox.imageId) {
        puts.push({ noun: 'sandbox', value: { ...sandbox, imageId, updatedAt: at } });
      }
      return puts;
    },
  };
}

interface CheckpointParts {
  readonly input: TakeCheckpoint;
  readonly task: Task;
  readonly captured: Captured;
  readonly operation: Operation;
  readonly head: ChainHead;
  readonly agent: string;
}

function composeCheckpoint(kernel: Kernel, parts: CheckpointParts): Checkpoint {
  const { input, task, captured, operation, head, agent } = parts;
  const unsealed = {
    id: kernel.deps.ids.next('checkpoint'),
    taskId: task.id,
    parentId: task.headCheckpointId,
    name: input.name,
    reason: input.reason,
    agent,
    operationId: operation.id,
    ...captured,
    sandboxSpec: task.sandboxSpec,
    ledger: { seq: head.seq, hash: head.hash },
    pinned: false,
    tags: [],
    createdAt: kernel.now(),
  };
  return { ...unsealed, manifestDigest: manifestDigest(unsealed) };
}

/** SHA-256 over the canonical JSON of a checkpoint without its digest and its pin, which may change later. */
export function manifestDigest(checkpoint: Omit<Checkpoint, 'manifestDigest'>): string {
  const { id, taskId, parentId, name, reason, agent, operationId } = checkpoint;
  const { workspace, home, root, sandboxSpec, ledger, createdAt } = checkpoint;
  const covered = {
    id,
    taskId,
    parentId,
    name,
    reason,
    agent,
    operationId,
    workspace,
    home,
    root,
    sandboxSpec,
    ledger,
    createdAt,
  };
  return sha256(canonicalJson(asJson(covered)));
}
