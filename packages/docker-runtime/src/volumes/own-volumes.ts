import { dirname } from 'node:path/posix';
import type { SandboxMount, SandboxPlan, VolumePort } from '@opencode-tools/core';
import { pack } from 'tar-stream';
import { Containers, absentAsUndefined } from '../engine/containers.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import { labelKeys } from '../plan/labels.ts';

/** Where images of ours have a directory of the sandbox's user, for volumes to be made from. */
const ownedTargets = ['/workspace', '/home/agent'];

/** A volume that is made with its container. */
export type FreshVolume = Extract<SandboxMount, { kind: 'volume' }> & {
  readonly create: Readonly<Record<string, string>>;
};

/**
 * The volumes of a plan that have to be given to its user. A volume takes over what the image has at its target, so there is nothing to
 * do where the image says that its directories belong to the user.
 */
export async function foreignVolumes(client: EngineClient, plan: SandboxPlan): Promise<readonly FreshVolume[]> {
  const fresh = plan.mounts.filter(isFresh);
  if (fresh.length === 0) return [];
  const owned = (await ownerOf(client, plan.imageId)) === `${plan.user.uid}:${plan.user.gid}`;
  return fresh.filter(({ target }) => !owned || !ownedTargets.includes(target));
}

/**
 * Gives volumes that were made with a container to the plan's user, before it starts: the engine itself sets owner and
 * mode of their top directories, so that nothing needs to run as root for it.
 *
 * @param known what `foreignVolumes` gives, if that is asked already
 */
export async function ownVolumes(
  client: EngineClient,
  volumes: VolumePort,
  id: string,
  plan: SandboxPlan,
  known?: readonly FreshVolume[],
): Promise<void> {
  const foreign = known ?? (await foreignVolumes(client, plan));
  if (foreign.length === 0) return;
  if (plan.readOnlyRoot) {
    // An engine unpacks nothing into a container whose root is read-only, not even where a volume is mounted.
    await Promise.all(
      foreign.map(async ({ volume, create: labels }) => volumes.create({ name: volume, labels, owner: plan.user })),
    );
    await ownParents(volumes, foreign, plan);
    return;
  }
  // Unpacked from the root: an engine passes over the entry of the very directory that it unpacks into.
  await new Containers(client).unpack(
    id,
    '/',
    await directories(
      foreign.flatMap(({ target }) => [...parentsInVolume(target, plan), target]),
      plan.user,
    ),
  );
}

/** An engine makes the directories above a mount as root, also those in a volume of the user. */
async function ownParents(volumes: VolumePort, fresh: readonly FreshVolume[], plan: SandboxPlan): Promise<void> {
  for (const { target } of fresh) {
    const holder = holderOf(target, plan);
    const parents = parentsInVolume(target, plan).map((path) => path.slice((holder?.target ?? '').length));
    if (holder === undefined || parents.length === 0) continue;
    const tar = await directories(parents, plan.user);
    await volumes.writeTree(
      holder.volume,
      (async function* whole() {
        yield tar;
      })(),
    );
  }
}

/** Directories between a mount and the volume that it is mounted into, the upper ones first. */
function parentsInVolume(target: string, plan: SandboxPlan): readonly string[] {
  const holder = holderOf(target, plan);
  if (holder === undefined) return [];
  const between = dirname(target).slice(holder.target.length).split('/').filter(Boolean);
  return between.map((_, index) => [holder.target, ...between.slice(0, index + 1)].join('/'));
}

function holderOf(target: string, { mounts }: SandboxPlan) {
  return mounts
    .filter((mount) => mount.kind === 'volume')
    .filter((mount) => target.startsWith(`${mount.target}/`))
    .toSorted((one, other) => other.target.length - one.target.length)[0];
}

function isFresh(mount: SandboxMount): mount is FreshVolume {
  return mount.kind === 'volume' && mount.create !== undefined;
}

/** An image that is not there is told by what is made of it. */
async function ownerOf(client: EngineClient, imageId: string): Promise<string | undefined> {
  const path = `/images/${encodeURIComponent(imageId)}/json`;
  const found = await absentAsUndefined(client.call<ImageLabels>({ method: 'GET', path }));
  return found?.Config?.Labels?.[labelKeys.owner];
}

interface ImageLabels {
  readonly Config: { readonly Labels: Readonly<Record<string, string>> | null } | null;
}

async function directories(targets: readonly string[], { uid, gid }: SandboxPlan['user']): Promise<Buffer> {
  const tar = pack();
  for (const target of targets) {
    tar.entry({ name: `${target.slice(1)}/`, type: 'directory', mode: 0o755, uid, gid, mtime: new Date() });
  }
  tar.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar as AsyncIterable<Uint8Array>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
