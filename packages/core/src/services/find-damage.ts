import type { Checkpoint } from '../domain/checkpoint.ts';
import type { CheckpointId } from '../domain/ids.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { CheckpointDamage } from './checkpoint-contract.ts';
import type { Kernel } from './kernel.ts';

/**
 * Says which checkpoints have lost something on the engine or in the home, without reading what is there: a damaged byte is for
 * `checkCheckpoints` to find.
 *
 * @param options `root` false passes over root file systems
 */
export async function findDamage(
  { deps }: Kernel,
  checkpoints: readonly Checkpoint[],
  { root: withRoot = true }: { readonly root?: boolean } = {},
): Promise<ReadonlyMap<CheckpointId, readonly CheckpointDamage[]>> {
  const snapshotIds = new Set(
    checkpoints.flatMap(({ workspace, home }) => [workspace?.id ?? [], home?.id ?? []].flat()),
  );
  const { snapshots } = await deps.workspaces.missing({ snapshotIds: [...snapshotIds], volumes: [] });
  const imageIds = new Set(withRoot ? checkpoints.flatMap(({ root }) => root?.imageId ?? []) : []);
  const lost = new Set<string>();
  for (const imageId of imageIds) if ((await deps.images.find(imageId)) === undefined) lost.add(imageId);
  const damaged = new Map<CheckpointId, readonly CheckpointDamage[]>();
  for (const checkpoint of checkpoints) {
    const damage = (['workspace', 'home'] as const).flatMap((part): readonly CheckpointDamage[] => {
      const id = checkpoint[part]?.id;
      const what = id === undefined ? undefined : snapshots.get(id);
      return id === undefined || what === undefined
        ? []
        : [{ part, object: id, message: `Snapshot ${id} is damaged: ${what}` }];
    });
    const imageId = checkpoint.root?.imageId;
    if (imageId !== undefined && lost.has(imageId)) damage.push(rootDamage(imageId));
    if (damage.length > 0) damaged.set(checkpoint.id, damage);
  }
  return damaged;
}

/** What is said of a root file system that is gone. */
export function rootDamage(imageId: string): CheckpointDamage {
  return { part: 'root', object: imageId, message: 'The image is no longer on the engine' };
}

/** @throws OpencodeToolsError `OCT_CHECKPOINT_CORRUPT` for a checkpoint that has lost something, with the way out */
export async function assertSound(
  kernel: Kernel,
  checkpoint: Checkpoint,
  options: { readonly root?: boolean } = {},
): Promise<void> {
  const damage = (await findDamage(kernel, [checkpoint], options)).get(checkpoint.id);
  if (damage !== undefined) throw damagedCheckpoint(checkpoint, damage);
}

function damagedCheckpoint({ id, taskId, name }: Checkpoint, damage: readonly CheckpointDamage[]): OpencodeToolsError {
  const [first] = damage;
  const onlyRoot = damage.every(({ part }) => part === 'root');
  const what =
    first?.part === 'root' ? `the image of its root file system is gone: ${first.object}` : (first?.message ?? '');
  return new OpencodeToolsError('OCT_CHECKPOINT_CORRUPT', `Checkpoint ${id} (${name}) is damaged: ${what}`, {
    remedy: onlyRoot
      ? `Bring its files back as a new task, without what was installed: opencode-tools recover ${taskId} --checkpoint ${id}`
      : `See which are sound: opencode-tools checkpoints verify ${taskId}; or bring the newest of them back as a new task: opencode-tools recover ${taskId}`,
    details: { checkpointId: id, parts: damage.map(({ part }) => part), object: first?.object ?? null },
  });
}
