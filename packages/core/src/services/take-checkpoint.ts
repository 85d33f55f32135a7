import { type Checkpoint } from '../domain/checkpoint.ts';
import { asJson } from '../domain/json.ts';
import type { Operation } from '../domain/operation.ts';
import type { Task } from '../domain/task.ts';
import { asOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { canonicalJson } from '../ledger/canonical-json.ts';
import { sha256 } from '../ledger/chain.ts';
import { type Captured, captureTask, isCapturedBy, rootImageTag } from './capture.ts';
import type { IdempotencyKey } from './idempotent.ts';
import { type Kernel, draft, finished, leaseGuard } from './kernel.ts';
import { runHooks } from './run-hooks.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call } from './services.ts';
import type { LeasedWork } from './with-lease.ts';

export interface TakeCheckpoint {
  readonly task: Task;
  readonly name: string;
  readonly reason: string;
  /** True takes none when the newest checkpoint already holds the present. */
  readonly onlyIfChanged: boolean;
  readonly key?: IdempotencyKey;
}

/**
 * Takes a checkpoint as one operation. It is recorded in the same transaction that finishes the operation, so it is whole or
 * does not exist.
 *
 * @returns the new checkpoint; with `onlyIfChanged` the newest one when nothing had changed
 */
export async function takeCheckpoint(
  kernel: Kernel,
  keeper: SandboxKeeper,
  input: TakeCheckpoint,
  leased: LeasedWork,
  call: Call,
): Promise<{ readonly checkpoint: Checkpoint; readonly taken: boolean }> {
  const { deps } = kernel;
  const { task } = input;
  const { proof, session } = leased;
  const hooks = await runHooks(
    kernel,
    { point: 'checkpoint:creating', task, agent: session.agent, model: session.model, sessionId: session.id },
    { stream: task.id, call, proof },
  );
  const head = await deps.ledger.head(task.id);
  const planned = kernel.newOperation('checkpoint', task.id, proof, {});
  const open: Operation = {
    ...planned,
    intent: { name: input.name, reason: input.reason, imageTag: rootImageTag(task, planned.id) },
  };
  await kernel.commit({
    guard: { ...leaseGuard(proof), noOpenOperation: { taskId: task.id, kinds: ['checkpoint', 'restore', 'deletion'] } },
    records: [
      draft({
        stream: task.id,
        type: 'checkpoint.requested',
        call,
        proof,
        operationId: open.id,
        puts: [{ noun: 'operation', value: open }],
        detail: { ...open.intent, ...hooks },
      }),
    ],
    ...input.key?.started(open.id),
  });
  try {
    call.onProgress?.('freezing the workspace');
    const captured = await captureTask(kernel, keeper, task, open.id, leased.signal);
    const current = task.headCheckpointId === null ? undefined : await deps.checkpoints.find(task.headCheckpointId);
    if (input.onlyIfChanged && current !== undefined && isCapturedBy(captured, current)) {
      await finishUnchanged(kernel, open, current, leased, call);
      return { checkpoint: current, taken: false };
    }
    const checkpoint = composeCheckpoint(kernel, input, captured, open, head, session.agent);
    await record(kernel, input, checkpoint, open, leased, call);
    return { checkpoint, taken: true };
  } catch (error) {
    await abandonCheckpoint(kernel, open, error, leased, call);
    throw error;
  }
}

function composeCheckpoint(
  kernel: Kernel,
  input: TakeCheckpoint,
  captured: Captured,
  open: Operation,
  head: { readonly seq: number; readonly hash: string },
  agent: string,
): Checkpoint {
  const unsealed = {
    id: kernel.deps.ids.next('checkpoint'),
    taskId: input.task.id,
    parentId: input.task.headCheckpointId,
    name: input.name,
    reason: input.reason,
    agent,
    operationId: open.id,
    ...captured,
    sandboxSpec: input.task.sandboxSpec,
    ledger: { seq: head.seq, hash: head.hash },
    pinned: false,
    createdAt: kernel.now(),
  };
  return { ...unsealed, manifestDigest: manifestDigest(unsealed) };
}

/** SHA-256 over the canonical JSON of a checkpoint without its digest and its pin, which may change later. */
export function manifestDigest(checkpoint: Omit<Checkpoint, 'manifestDigest'>): string {
  const {
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
  } = checkpoint;
  return sha256(
    canonicalJson(
      asJson({
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
      }),
    ),
  );
}

async function record(
  kernel: Kernel,
  input: TakeCheckpoint,
  checkpoint: Checkpoint,
  open: Operation,
  leased: LeasedWork,
  call: Call,
): Promise<void> {
  const { proof } = leased;
  await kernel.changeTask(input.task.id, async (task) => {
    const sandbox = await kernel.deps.tasks.findSandbox(task.id);
    const next: Task = { ...task, headCheckpointId: checkpoint.id, version: task.version + 1, updatedAt: kernel.now() };
    const rootImage = checkpoint.root?.imageId;
    const change = {
      guard: { ...leaseGuard(proof), openOperation: open.id },
      records: [
        draft({
          stream: task.id,
          type: 'checkpoint.completed',
          call,
          proof,
          operationId: open.id,
          puts: [
            { noun: 'checkpoint', value: checkpoint },
            { noun: 'task', value: next },
            { noun: 'operation', value: finished(open, 'completed', { checkpointId: checkpoint.id }, kernel.now()) },
            // A sandbox that has to be made again starts from what was saved last.
            ...(sandbox === undefined || rootImage === undefined
              ? []
              : [{ noun: 'sandbox', value: { ...sandbox, imageId: rootImage, updatedAt: kernel.now() } } as const]),
          ],
        }),
      ],
      ...input.key?.finished(asJson(checkpoint), open.id),
    };
    return { change, result: undefined };
  });
}

async function finishUnchanged(
  kernel: Kernel,
  open: Operation,
  current: Checkpoint,
  leased: LeasedWork,
  call: Call,
): Promise<void> {
  await kernel.commit({
    guard: { ...leaseGuard(leased.proof), openOperation: open.id },
    records: [
      draft({
        stream: open.taskId,
        type: 'checkpoint.unchanged',
        call,
        proof: leased.proof,
        operationId: open.id,
        puts: [
          {
            noun: 'operation',
            value: finished(open, 'completed', { checkpointId: current.id, unchanged: true }, kernel.now()),
          },
        ],
        detail: { checkpointId: current.id },
      }),
    ],
  });
}

async function abandonCheckpoint(kernel: Kernel, open: Operation, error: unknown, leased: LeasedWork, call: Call): Promise<void> {
  const { code, message } = asOpencodeToolsError(error);
  try {
    if (typeof open.intent['imageTag'] === 'string') await kernel.deps.images.remove(open.intent['imageTag']);
    await kernel.commit({
      guard: { ...leaseGuard(leased.proof), openOperation: open.id },
      records: [
        draft({
          stream: open.taskId,
          type: 'checkpoint.failed',
          call,
          operationId: open.id,
          puts: [{ noun: 'operation', value: finished(open, 'failed', { code, message }, kernel.now()) }],
          detail: { code, message },
        }),
      ],
    });
  } catch (second) {
    kernel.deps.logger.warn('A failed checkpoint stays open for recovery', {
      operationId: open.id,
      error: String(second),
    });
  }
}
