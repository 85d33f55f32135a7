import type { Checkpoint } from '../domain/checkpoint.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { idempotent } from './idempotent.ts';
import type { Kernel } from './kernel.ts';
import { restoreCheckpoint } from './restore-checkpoint.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { CheckpointService } from './services.ts';
import { manifestDigest, takeCheckpoint } from './take-checkpoint.ts';
import { freeText, oneLine } from './validate.ts';
import { assertHere, withLease } from './with-lease.ts';

export function createCheckpointService(kernel: Kernel, keeper: SandboxKeeper): CheckpointService {
  const { deps } = kernel;
  return {
    create: async (taskId, options, call) => {
      const name = oneLine('name', options.name ?? `checkpoint ${kernel.now()}`, 100);
      const reason = freeText('reason', options.reason ?? '', 2_000);
      const task = await deps.tasks.getTask(taskId);
      return idempotent(kernel, call, 'checkpoint', { taskId, name: options.name ?? null, reason }, (key) =>
        withLease(kernel, task, { sessionId: options.sessionId, sandbox: true }, call, async (leased) => {
          const { checkpoint } = await takeCheckpoint(
            kernel,
            keeper,
            { taskId, name, reason, onlyIfChanged: false, key },
            leased,
            call,
          );
          return checkpoint;
        }),
      );
    },
    restore: (taskId, reference, options, call) => restoreCheckpoint(kernel, keeper, taskId, reference, options, call),
    list: (taskId) => deps.checkpoints.list(taskId),
    get: (taskId, reference) => deps.checkpoints.resolve(taskId, reference),
    verify: async (id) => {
      const checkpoint = await deps.checkpoints.find(id);
      if (checkpoint === undefined)
        throw new OpencodeToolsError('OCT_CHECKPOINT_NOT_FOUND', `No checkpoint has the id ${id}`);
      const task = await deps.tasks.findTask(checkpoint.taskId);
      if (task !== undefined) assertHere(kernel, task);
      await verifyCheckpoint(kernel, checkpoint);
      return checkpoint;
    },
  };
}

/**
 * Checks a checkpoint's own digest, reads every byte of its trees and looks its image up.
 *
 * @throws OpencodeToolsError `OCT_CHECKPOINT_CORRUPT`
 */
async function verifyCheckpoint(kernel: Kernel, checkpoint: Checkpoint): Promise<void> {
  const corrupt = (fact: string): OpencodeToolsError =>
    new OpencodeToolsError('OCT_CHECKPOINT_CORRUPT', `Checkpoint ${checkpoint.id}: ${fact}`, {
      details: { checkpointId: checkpoint.id },
    });
  if (manifestDigest(checkpoint) !== checkpoint.manifestDigest) throw corrupt('the manifest does not match its digest');
  for (const snapshot of [checkpoint.workspace, checkpoint.home]) {
    if (snapshot === null) continue;
    const found = await kernel.deps.workspaces.verify(snapshot.id);
    if (found.digest !== snapshot.digest) throw corrupt(`snapshot ${snapshot.id} has another digest`);
  }
  if (checkpoint.root !== null && (await kernel.deps.images.find(checkpoint.root.imageId)) === undefined) {
    throw corrupt(`image ${checkpoint.root.imageId} is no longer on the engine`);
  }
}
