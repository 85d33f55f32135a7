import type { SandboxPlan } from '@opencode-tools/core';
import { pack } from 'tar-stream';
import type { Containers } from '../engine/containers.ts';

/**
 * Gives the volumes that were made with a container to the plan's user, before it starts: the engine itself sets owner and
 * mode of their top directories, so that nothing needs to run as root for it.
 */
export async function ownVolumes(containers: Containers, id: string, plan: SandboxPlan): Promise<void> {
  const fresh = plan.mounts.filter((mount) => mount.kind === 'volume' && mount.create !== undefined);
  if (fresh.length === 0) return;
  const top = await topDirectory(plan.user);
  await Promise.all(fresh.map(async ({ target }) => containers.unpack(id, target, top)));
}

async function topDirectory(owner: SandboxPlan['user']): Promise<Buffer> {
  const tar = pack();
  tar.entry({ name: './', type: 'directory', mode: 0o755, uid: owner.uid, gid: owner.gid, mtime: new Date() });
  tar.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar as AsyncIterable<Uint8Array>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
