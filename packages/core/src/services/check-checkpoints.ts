import type { Checkpoint, SnapshotRef } from '../domain/checkpoint.ts';
import { OpencodeToolsError, asOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { AlreadyRead } from '../ports/workspace-store.ts';
import type { Call } from './call.ts';
import type { CheckpointDamage, CheckpointHealth } from './checkpoint-contract.ts';
import { rootDamage } from './find-damage.ts';
import type { Kernel } from './kernel.ts';
import { manifestDigest } from './take-checkpoint.ts';

/** What one look at checkpoints has found out so far. */
interface Look {
  /** What is wrong with a snapshot, by id and digest. */
  readonly faults: Map<string, Promise<string | null>>;
  readonly already: AlreadyRead;
}

/** Reads every byte of the checkpoints; a tree or a layer that several hold is read once. */
export async function checkCheckpoints(
  kernel: Kernel,
  checkpoints: readonly Checkpoint[],
  { signal, onProgress }: Pick<Call, 'signal' | 'onProgress'> = {},
): Promise<readonly CheckpointHealth[]> {
  const look: Look = { faults: new Map(), already: new Map() };
  const health: CheckpointHealth[] = [];
  for (const [at, checkpoint] of checkpoints.entries()) {
    if (signal?.aborted === true) throw cancelled(signal);
    onProgress?.(`reading checkpoint ${at + 1} of ${checkpoints.length}`);
    health.push({ checkpoint, damage: await damageOf(kernel, checkpoint, look) });
  }
  return health;
}

function cancelled({ reason }: AbortSignal): OpencodeToolsError {
  return new OpencodeToolsError('OCT_CANCELLED', 'Reading checkpoints was cancelled', { cause: reason });
}

async function damageOf(
  kernel: Kernel,
  checkpoint: Checkpoint,
  { faults, already }: Look,
): Promise<readonly CheckpointDamage[]> {
  const damage: CheckpointDamage[] = [];
  if (manifestDigest(checkpoint) !== checkpoint.manifestDigest) {
    damage.push({ part: 'record', object: checkpoint.id, message: 'The record does not match its digest' });
  }
  for (const part of ['workspace', 'home'] as const) {
    const snapshot = checkpoint[part];
    if (snapshot === null) continue;
    const key = `${snapshot.id} ${snapshot.digest}`;
    const fault = faults.get(key) ?? faultOf(kernel, snapshot, already);
    faults.set(key, fault);
    const message = await fault;
    if (message !== null) damage.push({ part, object: snapshot.id, message });
  }
  const imageId = checkpoint.root?.imageId;
  if (imageId !== undefined && (await kernel.deps.images.find(imageId)) === undefined) {
    damage.push(rootDamage(imageId));
  }
  return damage;
}

async function faultOf(kernel: Kernel, snapshot: SnapshotRef, already: AlreadyRead): Promise<string | null> {
  try {
    const { digest } = await kernel.deps.workspaces.verify(snapshot.id, already);
    return digest === snapshot.digest ? null : `Snapshot ${snapshot.id} has another digest than was recorded`;
  } catch (error) {
    const { code, message } = asOpencodeToolsError(error);
    if (code === 'OCT_CHECKPOINT_CORRUPT' || code === 'OCT_CHECKPOINT_NOT_FOUND') return message;
    throw error;
  }
}
