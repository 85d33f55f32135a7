import type { Checkpoint, SnapshotRef } from '../domain/checkpoint.ts';
import { asOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { CheckpointDamage, CheckpointHealth } from './checkpoint-contract.ts';
import type { Kernel } from './kernel.ts';
import { manifestDigest } from './take-checkpoint.ts';

/** Reads every byte of the checkpoints; a tree that several hold is read once. */
export async function checkCheckpoints(
  kernel: Kernel,
  checkpoints: readonly Checkpoint[],
): Promise<readonly CheckpointHealth[]> {
  const known = new Map<string, Promise<string | null>>();
  const health: CheckpointHealth[] = [];
  for (const checkpoint of checkpoints) health.push({ checkpoint, damage: await damageOf(kernel, checkpoint, known) });
  return health;
}

async function damageOf(
  kernel: Kernel,
  checkpoint: Checkpoint,
  known: Map<string, Promise<string | null>>,
): Promise<readonly CheckpointDamage[]> {
  const damage: CheckpointDamage[] = [];
  if (manifestDigest(checkpoint) !== checkpoint.manifestDigest) {
    damage.push({ part: 'record', object: checkpoint.id, message: 'The record does not match its digest' });
  }
  for (const part of ['workspace', 'home'] as const) {
    const snapshot = checkpoint[part];
    if (snapshot === null) continue;
    const key = `${snapshot.id} ${snapshot.digest}`;
    const fault = known.get(key) ?? faultOf(kernel, snapshot);
    known.set(key, fault);
    const message = await fault;
    if (message !== null) damage.push({ part, object: snapshot.id, message });
  }
  const imageId = checkpoint.root?.imageId;
  if (imageId !== undefined && (await kernel.deps.images.find(imageId)) === undefined) {
    damage.push({ part: 'root', object: imageId, message: 'The image is no longer on the engine' });
  }
  return damage;
}

async function faultOf(kernel: Kernel, snapshot: SnapshotRef): Promise<string | null> {
  try {
    const { digest } = await kernel.deps.workspaces.verify(snapshot.id);
    return digest === snapshot.digest ? null : `Snapshot ${snapshot.id} has another digest than was recorded`;
  } catch (error) {
    const { code, message } = asOpencodeToolsError(error);
    if (code === 'OCT_CHECKPOINT_CORRUPT' || code === 'OCT_CHECKPOINT_NOT_FOUND') return message;
    throw error;
  }
}
