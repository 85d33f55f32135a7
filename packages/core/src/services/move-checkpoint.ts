import type { Checkpoint, SnapshotRef } from '../domain/checkpoint.ts';
import type { TaskId } from '../domain/ids.ts';
import { asJson } from '../domain/json.ts';
import type { Task } from '../domain/task.ts';
import type { ByteStream } from '../ports/volume-port.ts';
import type { AdmittedTree } from '../ports/workspace-store.ts';
import type { CheckpointExport } from './checkpoint-contract.ts';
import { type CheckpointHead, decodeHead, encodeHead, treeNames } from './checkpoint-file.ts';
import { idempotent } from './idempotent.ts';
import { type Kernel, draft, leaseGuard } from './kernel.ts';
import type { Call, UnderSession } from './services.ts';
import { manifestDigest } from './take-checkpoint.ts';
import { freeText, oneLine } from './validate.ts';
import { assertHere, withLease } from './with-lease.ts';

/** Opens a checkpoint as one stream. Its root file system stays with the engine, and so do its spec and ledger. */
export async function exportCheckpoint(
  kernel: Kernel,
  taskId: TaskId,
  reference: string,
  call: Call,
): Promise<CheckpointExport> {
  const task = await kernel.deps.tasks.getTask(taskId);
  assertHere(kernel, task);
  const checkpoint = await kernel.deps.checkpoints.resolve(taskId, reference);
  const trees = new Map<string, string>();
  for (const name of treeNames) {
    const snapshot = checkpoint[name];
    if (snapshot !== null) trees.set(name, snapshot.id);
  }
  const stream = await kernel.deps.workspaces.exportTrees(
    trees,
    (refs) => encodeHead(task, checkpoint, refs),
    call.signal === undefined ? {} : { signal: call.signal },
  );
  return { checkpoint, stream, rootLeftOut: (checkpoint.root?.changedPaths ?? 0) > 0 };
}

/**
 * Makes a checkpoint of a task from an exported one, of whatever machine and kind of workspace. Files of the exported task's user
 * become files of this task's. The task itself stays as it is until the checkpoint is restored.
 */
export async function importCheckpoint(
  kernel: Kernel,
  taskId: TaskId,
  stream: ByteStream,
  options: UnderSession & { readonly name?: string },
  call: Call,
): Promise<Checkpoint> {
  const task = await kernel.deps.tasks.getTask(taskId);
  assertHere(kernel, task);
  const given = options.name === undefined ? undefined : oneLine('name', options.name, 100);
  return idempotent(kernel, call, 'import-checkpoint', { taskId, name: given ?? null }, async (key) => {
    let head: CheckpointHead | undefined;
    const admit = (bytes: Uint8Array): ReadonlyMap<string, AdmittedTree> => {
      head = decodeHead(bytes);
      const owner = { from: head.owner, to: task.sandboxSpec.user };
      return new Map([...head.trees].map(([name, digest]) => [name, { digest, owner }]));
    };
    call.onProgress?.('reading the exported checkpoint');
    const signal = call.signal === undefined ? {} : { signal: call.signal };
    const refs = await kernel.deps.workspaces.importTrees(stream, admit, signal);
    if (head === undefined) throw new Error('A store took in trees without asking for them');
    const checkpoint = await compose(kernel, task, head, refs, {
      name: given,
      agent: call.actor.agent ?? call.actor.id,
    });
    const from = { checkpointId: head.id, taskId: head.taskId };
    const record = (proof: Parameters<typeof leaseGuard>[0] | null): Promise<unknown> =>
      kernel.commit({
        ...(proof === null ? {} : { guard: leaseGuard(proof, true) }),
        records: [
          draft({
            stream: taskId,
            type: 'checkpoint.imported',
            call,
            proof,
            puts: [{ noun: 'checkpoint', value: checkpoint }],
            detail: { checkpointId: checkpoint.id, from },
          }),
        ],
        ...key.finished(asJson(checkpoint)),
      });
    const { sessionId } = options;
    if (sessionId === undefined) await record(null);
    else await withLease(kernel, task, { sessionId, sandbox: false }, call, ({ proof }) => record(proof));
    return checkpoint;
  });
}

async function compose(
  kernel: Kernel,
  task: Task,
  head: CheckpointHead,
  refs: ReadonlyMap<string, SnapshotRef>,
  { name, agent }: { readonly name: string | undefined; readonly agent: string },
): Promise<Checkpoint> {
  const { seq, hash } = await kernel.deps.ledger.head(task.id);
  const unsealed = {
    id: kernel.deps.ids.next('checkpoint'),
    taskId: task.id,
    parentId: null,
    name: name ?? oneLine('name', head.name, 100),
    reason: freeText('reason', head.reason, 2_000),
    agent,
    operationId: kernel.deps.ids.next('operation'),
    workspace: refs.get('workspace') ?? null,
    home: refs.get('home') ?? null,
    root: null,
    sandboxSpec: task.sandboxSpec,
    ledger: { seq, hash },
    pinned: false,
    tags: [],
    createdAt: kernel.now(),
  };
  return { ...unsealed, manifestDigest: manifestDigest(unsealed) };
}
