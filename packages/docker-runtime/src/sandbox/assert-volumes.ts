import { OpencodeToolsError, type SandboxMount, type VolumePort } from '@opencode-tools/core';

/**
 * Sees to it that the volumes exist which are not made with the container: an engine would make a missing one itself, without our
 * labels and owned by root.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT`
 */
export async function assertVolumes(mounts: readonly SandboxMount[], volumes: VolumePort): Promise<void> {
  await Promise.all(
    mounts.map(async (mount) => {
      if (mount.kind !== 'volume' || mount.create || (await volumes.find(mount.volume))) return;
      throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The engine has no volume ${mount.volume}`, {
        details: { volume: mount.volume },
      });
    }),
  );
}
