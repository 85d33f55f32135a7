import type { HomeId } from '@opencode-tools/core';
import { pack } from 'tar-stream';
import { type ContainerDescription, Containers } from '../engine/containers.ts';
import type { Engine } from '../engine/engine.ts';
import { laneProgram } from '../lane/lane-program.ts';
import { helperOptions, volumeTarget, withHelper } from '../volumes/helper-container.ts';
import { programDirectory } from './shellless-options.ts';

/**
 * Puts the supervisor into a container that was never started. An engine unpacks nothing into a container whose root is read-only:
 * there a helper has the volume meanwhile.
 */
export async function placeProgram(
  engine: Engine,
  { Id, HostConfig, Mounts }: ContainerDescription,
  homeId: HomeId,
): Promise<void> {
  const { client, architecture } = await engine.find();
  const containers = new Containers(client);
  const tar = await packed(laneProgram(architecture));
  const volume = Mounts.find(({ Destination }) => Destination === programDirectory)?.Name;
  if (HostConfig.ReadonlyRootfs !== true || volume === undefined) {
    await containers.unpack(Id, programDirectory, tar);
    return;
  }
  await withHelper({ client, containers }, helperOptions(homeId, volume, false), async (helper) =>
    containers.unpack(helper, volumeTarget, tar),
  );
}

async function packed(program: Buffer): Promise<Buffer> {
  const tar = pack();
  tar.entry({ name: 'oct-lane', mode: 0o755, uid: 0, gid: 0, mtime: new Date() }, program);
  tar.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar as AsyncIterable<Uint8Array>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
