import type { Checkpoint, SnapshotRef } from '../domain/checkpoint.ts';
import type { TaskId } from '../domain/ids.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { checkCheckpoints } from './check-checkpoints.ts';
import type { CheckpointComparison } from './checkpoint-contract.ts';
import { deleteCheckpoint } from './delete-checkpoint.ts';
import { idempotent } from './idempotent.ts';
import type { Kernel } from './kernel.ts';
import { markCheckpoint } from './mark-checkpoint.ts';
import { exportCheckpoint, importCheckpoint } from './move-checkpoint.ts';
import { checkpointUsage, homeCheckpointUsage, pruneCheckpoints } from './prune-checkpoints.ts';
import { restoreCheckpoint } from './restore-checkpoint.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { CheckpointService } from './services.ts';
import { asUnchanged, takeCheckpoint, withNotices } from './take-checkpoint.ts';
import { freeText, oneLine } from './validate.ts';
import { assertHere, withLease } from './with-lease.ts';

export function createCheckpointService(kernel: Kernel, keeper: SandboxKeeper): CheckpointService {
  const { deps } = kernel;
  return {
    create: async (taskId, options, call) => {
      const name = oneLine('name', options.name ?? `checkpoint ${kernel.now()}`, 100);
      const reason = freeText('reason', options.reason ?? '', 2_000);
      const task = await deps.tasks.getTask(taskId);
      const onlyIfChanged = options.ifChanged === true;
      const args = { taskId, name: options.name ?? null, reason, ...(onlyIfChanged ? { ifChanged: true } : {}) };
      return idempotent(kernel, call, 'checkpoint', args, (key) =>
        withLease(kernel, task, { sessionId: options.sessionId, sandbox: true }, call, async (leased) => {
          const input = { taskId, name, reason, onlyIfChanged, key };
          const { checkpoint, taken, notices } = await takeCheckpoint(kernel, keeper, input, leased, call);
          return taken ? withNotices(checkpoint, notices) : asUnchanged(checkpoint, notices);
        }),
      );
    },
    restore: (taskId, reference, options, call) => restoreCheckpoint(kernel, keeper, taskId, reference, options, call),
    delete: (taskId, reference, options, call) => deleteCheckpoint(kernel, taskId, reference, options, call),
    tag: (taskId, reference, tag, options, call) => markCheckpoint(kernel, taskId, reference, { tag }, options, call),
    untag: (taskId, tag, options, call) => markCheckpoint(kernel, taskId, tag, { untag: tag }, options, call),
    pin: (taskId, reference, pinned, options, call) =>
      markCheckpoint(kernel, taskId, reference, { pinned }, options, call),
    export: (taskId, reference, options, call) => exportCheckpoint(kernel, taskId, reference, options, call),
    import: (taskId, stream, options, call) => importCheckpoint(kernel, taskId, stream, options, call),
    usage: async (taskId) => {
      await assertReadable(kernel, taskId);
      return checkpointUsage(kernel, taskId);
    },
    homeUsage: () => homeCheckpointUsage(kernel),
    prune: (taskId, options, call) => pruneCheckpoints(kernel, taskId, options, call),
    list: (taskId) => deps.checkpoints.list(taskId),
    get: (taskId, reference) => deps.checkpoints.resolve(taskId, reference),
    compare: async (taskId, from, to) => {
      await assertReadable(kernel, taskId);
      const [first, second] = [
        await deps.checkpoints.resolve(taskId, from),
        await deps.checkpoints.resolve(taskId, to),
      ];
      return compareCheckpoints(kernel, first, second);
    },
    check: async (taskId, reference, options) => {
      await assertReadable(kernel, taskId);
      const all =
        reference === undefined
          ? await deps.checkpoints.list(taskId)
          : [await deps.checkpoints.resolve(taskId, reference)];
      return checkCheckpoints(kernel, all, options);
    },
    verify: async (id) => {
      const checkpoint = await deps.checkpoints.find(id);
      if (checkpoint === undefined)
        throw new OpencodeToolsError('OCT_CHECKPOINT_NOT_FOUND', `No checkpoint has the id ${id}`);
      await assertReadable(kernel, checkpoint.taskId);
      const [health] = await checkCheckpoints(kernel, [checkpoint]);
      const [damage] = health?.damage ?? [];
      if (damage === undefined) return checkpoint;
      throw new OpencodeToolsError('OCT_CHECKPOINT_CORRUPT', `Checkpoint ${checkpoint.id}: ${damage.message}`, {
        details: { checkpointId: checkpoint.id, part: damage.part, object: damage.object },
      });
    },
  };
}

async function compareCheckpoints(kernel: Kernel, from: Checkpoint, to: Checkpoint): Promise<CheckpointComparison> {
  const { workspaces } = kernel.deps;
  const idOf = (snapshot: SnapshotRef | null): string | null => snapshot?.id ?? null;
  return {
    from,
    to,
    workspace: await workspaces.diff(idOf(from.workspace), idOf(to.workspace)),
    home: await workspaces.diff(idOf(from.home), idOf(to.home)),
    rootDiffers: from.root?.imageId !== to.root?.imageId,
  };
}

/** A task that was deleted has no row and its checkpoints are here; those of a task of another host are there. */
async function assertReadable(kernel: Kernel, taskId: TaskId): Promise<void> {
  const task = await kernel.deps.tasks.findTask(taskId);
  if (task !== undefined) assertHere(kernel, task);
}
