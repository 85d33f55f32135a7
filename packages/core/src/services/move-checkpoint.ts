import type { Checkpoint, RootRef, SnapshotRef } from '../domain/checkpoint.ts';
import type { TaskId } from '../domain/ids.ts';
import { asJson } from '../domain/json.ts';
import type { LeftOut } from '../domain/left-out.ts';
import type { Operation } from '../domain/operation.ts';
import type { Put } from '../ledger/put.ts';
import type { Task } from '../domain/task.ts';
import type { ByteStream } from '../ports/volume-port.ts';
import type { AdmittedTree } from '../ports/workspace-store.ts';
import { rootImageTag } from './capture.ts';
import type { CheckpointExport, ImportCheckpoint, ImportedCheckpoint } from './checkpoint-contract.ts';
import { type CheckpointHead, decodeHead, encodeHead } from './checkpoint-file.ts';
import { assertSound } from './find-damage.ts';
import { type IdempotencyKey, idempotent } from './idempotent.ts';
import { type Kernel, draft, leaseGuard } from './kernel.ts';
import { notIn } from './left-out-notice.ts';
import { runOperation } from './run-operation.ts';
import { objectLabels } from './sandbox-plan.ts';
import type { Call } from './services.ts';
import { manifestDigest } from './take-checkpoint.ts';
import { freeText, oneLine } from './validate.ts';
import { type LeasedWork, assertHere, withLease } from './with-lease.ts';

/** Opens a checkpoint as one stream. Its spec and its ledger stay here, and a root file system that is an image others have. */
export async function exportCheckpoint(
  kernel: Kernel,
  taskId: TaskId,
  reference: string,
  options: { readonly root?: boolean },
  call: Call,
): Promise<CheckpointExport> {
  const { images, workspaces } = kernel.deps;
  const task = await kernel.deps.tasks.getTask(taskId);
  assertHere(kernel, task);
  const checkpoint = await kernel.deps.checkpoints.resolve(taskId, reference);
  await assertSound(kernel, checkpoint, { root: options.root !== false && changedRoot(checkpoint) !== null });
  const signal = call.signal === undefined ? {} : { signal: call.signal };
  const trees = new Map<string, string>();
  for (const name of ['workspace', 'home'] as const) {
    const snapshot = checkpoint[name];
    if (snapshot !== null) trees.set(name, snapshot.id);
  }
  const imageId = changedRoot(checkpoint);
  const root = imageId === null ? 'unchanged' : options.root === false ? 'left-out' : 'included';
  if (imageId !== null && root === 'included') {
    call.onProgress?.('saving the root file system');
    trees.set('root', (await workspaces.freezeTar(await images.save(imageId, signal), signal)).id);
  }
  const notices: string[] = [];
  const onLeftOut = (name: string, one: LeftOut): void => {
    if (name === 'workspace') notices.push(notIn('the file', one, 'the workspace'));
    // Of sockets in a home directory no checkpoint speaks either.
    if (name === 'home' && one.kind !== 'special') notices.push(notIn('the file', one, 'the home directory'));
  };
  const telling = { onLeftOut, ...signal };
  const stream = await workspaces.exportTrees(trees, (refs) => encodeHead(task, checkpoint, refs), telling);
  return { checkpoint, stream, root, ...(notices.length === 0 ? {} : { notices }) };
}

/** The image of a root file system that is not the one that the task began with. */
function changedRoot({ root, sandboxSpec }: Checkpoint): string | null {
  return root === null || root.imageId === sandboxSpec.imageId ? null : root.imageId;
}

/**
 * Makes a checkpoint of a task from an exported one, of whatever machine and kind of workspace. Files of the exported task's user
 * become files of this task's. The task itself stays as it is until the checkpoint is restored.
 */
export async function importCheckpoint(
  kernel: Kernel,
  taskId: TaskId,
  stream: ByteStream,
  options: ImportCheckpoint,
  call: Call,
): Promise<ImportedCheckpoint> {
  const task = await kernel.deps.tasks.getTask(taskId);
  assertHere(kernel, task);
  const given = options.name === undefined ? undefined : oneLine('name', options.name, 100);
  const asked = { taskId, name: given ?? null, ...(options.root === true ? { root: true } : {}) };
  return idempotent(kernel, call, 'import-checkpoint', asked, async (key) => {
    call.onProgress?.('reading the exported checkpoint');
    const { head, refs } = await takeIn(kernel, task, stream, call);
    const incoming: Incoming = { task, head, refs, name: given, agent: call.actor.agent ?? call.actor.id };
    const { sessionId } = options;
    const root = refs.get('root');
    if (root !== undefined && options.root === true) {
      return withLease(kernel, task, { sessionId, sandbox: false }, call, (leased) =>
        withRoot(kernel, incoming, root, leased, key, call),
      );
    }
    const checkpoint = await compose(kernel, incoming, { root: null });
    const result = { checkpoint, rootLeftOut: root !== undefined };
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
            detail: importDetail(checkpoint, head),
          }),
        ],
        ...key.finished(asJson(result)),
      });
    if (sessionId === undefined) await record(null);
    else await withLease(kernel, task, { sessionId, sandbox: false }, call, ({ proof }) => record(proof));
    return result;
  });
}

/** An exported checkpoint whose trees are in the store. */
interface Incoming {
  readonly task: Task;
  readonly head: CheckpointHead;
  readonly refs: ReadonlyMap<string, SnapshotRef>;
  readonly name: string | undefined;
  readonly agent: string;
}

async function takeIn(
  kernel: Kernel,
  task: Task,
  stream: ByteStream,
  call: Call,
): Promise<Pick<Incoming, 'head' | 'refs'>> {
  let head: CheckpointHead | undefined;
  const admit = (bytes: Uint8Array): ReadonlyMap<string, AdmittedTree> => {
    head = decodeHead(bytes);
    const owner = { from: head.owner, to: task.sandboxSpec.user };
    return new Map([...head.trees].map(([name, digest]) => [name, { digest, owner: name === 'root' ? null : owner }]));
  };
  const refs = await kernel.deps.workspaces.importTrees(stream, admit, call.signal ? { signal: call.signal } : {});
  if (head === undefined) throw new Error('A store took in trees without asking for them');
  return { head, refs };
}

/** An image is made on the way, so this is an operation: one that breaks off takes its image away again. */
async function withRoot(
  kernel: Kernel,
  incoming: Incoming,
  root: SnapshotRef,
  leased: LeasedWork,
  key: IdempotencyKey,
  call: Call,
): Promise<ImportedCheckpoint> {
  const { images, workspaces, homeId } = kernel.deps;
  const { task, head } = incoming;
  const planned = kernel.newOperation('checkpoint', task.id, leased.proof, {});
  const tag = rootImageTag(task, planned.id);
  const name = incoming.name ?? oneLine('name', head.name, 100);
  const operation: Operation = { ...planned, intent: { name, reason: 'imported', imageTag: tag } };
  return runOperation(
    kernel,
    { operation, excludes: ['deletion'], detail: { from: head.id }, key },
    leased,
    call,
    async () => {
      call.onProgress?.('taking in the root file system');
      const { signal } = leased;
      const saved = await workspaces.tarOf(root.id, { signal });
      const labels = objectLabels(homeId, task, operation.id, 'root');
      const { id: imageId } = await images.load(saved, { tag, labels }, { signal });
      const baseImageId = task.sandboxSpec.imageId ?? (await images.ensure(task.sandboxSpec.image, { signal })).id;
      const taken = { baseImageId, imageId, changedPaths: head.rootChangedPaths };
      const checkpoint = await compose(kernel, incoming, { root: taken, operationId: operation.id });
      const result = { checkpoint, rootLeftOut: false };
      const puts: readonly Put[] = [{ noun: 'checkpoint', value: checkpoint }];
      const ended = {
        verb: 'imported',
        outcome: { checkpointId: checkpoint.id },
        detail: importDetail(checkpoint, head),
      };
      return { result, ...ended, stored: asJson(result), puts: () => puts };
    },
    { clear: () => images.remove(tag), clearsOwn: true },
  );
}

function importDetail({ id }: Checkpoint, head: CheckpointHead) {
  return { checkpointId: id, from: { checkpointId: head.id, taskId: head.taskId } };
}

async function compose(
  kernel: Kernel,
  { task, head, refs, name, agent }: Incoming,
  { root, operationId }: { readonly root: RootRef | null; readonly operationId?: Operation['id'] },
): Promise<Checkpoint> {
  const { seq, hash } = await kernel.deps.ledger.head(task.id);
  const unsealed = {
    id: kernel.deps.ids.next('checkpoint'),
    taskId: task.id,
    parentId: null,
    name: name ?? oneLine('name', head.name, 100),
    reason: freeText('reason', head.reason, 2_000),
    agent,
    operationId: operationId ?? kernel.deps.ids.next('operation'),
    workspace: refs.get('workspace') ?? null,
    home: refs.get('home') ?? null,
    root,
    sandboxSpec: task.sandboxSpec,
    ledger: { seq, hash },
    pinned: false,
    tags: [],
    createdAt: kernel.now(),
  };
  return { ...unsealed, manifestDigest: manifestDigest(unsealed) };
}
