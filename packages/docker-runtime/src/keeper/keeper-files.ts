import { randomUUID } from 'node:crypto';
import { basename } from 'node:path/posix';
import { gunzipSync } from 'node:zlib';
import { type Fence, type HomeId, OpencodeToolsError } from '@opencode-tools/core';
import { extract, pack } from 'tar-stream';
import { type ContainerDescription, Containers, absentAsUndefined } from '../engine/containers.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import { helperOptions, volumeTarget, withHelper } from '../volumes/helper-container.ts';
import { keeperDirectory } from './keeper-options.ts';
import { keeperPrograms } from './keeper-programs.ts';

interface EngineVersion {
  readonly Arch?: string;
}

/**
 * Puts the keeper into a container that does not run, and with it a fence if there is one: without a fence, the keeper refuses every
 * command. The program that is there is replaced.
 */
export async function placeKeeper(
  client: EngineClient,
  container: ContainerDescription,
  homeId: HomeId,
  fence: Fence | undefined,
): Promise<void> {
  const { Arch: architecture = '' } = await client.call<EngineVersion>({ method: 'GET', path: '/version' });
  const program = keeperPrograms[architecture];
  if (program === undefined) throw noKeeper(architecture);
  const files: File[] = [{ name: 'keeper', mode: 0o755, content: gunzipSync(Buffer.from(program, 'base64')) }];
  await placeFiles(client, container, homeId, fence === undefined ? files : [...files, fenceFile(fence)]);
}

/** Adds a fence to those in a container that does not run: whoever adds a lower one at the same moment lowers nothing. */
export async function placeFence(
  client: EngineClient,
  container: ContainerDescription,
  homeId: HomeId,
  fence: Fence,
): Promise<void> {
  await placeFiles(client, container, homeId, [fenceFile(fence)]);
}

/** All fences that are in a container, running or not, as one. */
export async function readFence(client: EngineClient, id: string): Promise<Fence | undefined> {
  const request = { method: 'GET', path: `/containers/${id}/archive`, query: { path: keeperDirectory } } as const;
  const answer = await absentAsUndefined(client.stream(request));
  if (answer === undefined) return undefined;
  const fences: Fence[] = [];
  for await (const entry of answer.pipe(extract())) {
    let text = '';
    for await (const chunk of entry as AsyncIterable<Uint8Array>) text += Buffer.from(chunk).toString('latin1');
    if (basename(entry.header.name).startsWith('fence')) fences.push(...parseFences(text));
  }
  if (fences.length === 0) return undefined;
  const minToken = Math.max(...fences.map((fence) => fence.minToken));
  const revoked = fences.flatMap((fence) => fence.revoked).filter((token) => token >= minToken);
  return { minToken, revoked: [...new Set(revoked)] };
}

function parseFences(text: string): readonly Fence[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const [minToken = 0, ...revoked] = line.split(' ').map(Number);
    return { minToken, revoked };
  });
}

interface File {
  readonly name: string;
  readonly mode: number;
  readonly content: Uint8Array;
}

function fenceFile(fence: Fence): File {
  return { name: `fence.${randomUUID()}`, mode: 0o644, content: Buffer.from(`${fenceWords(fence).join(' ')}\n`) };
}

export function fenceWords({ minToken, revoked }: Fence): readonly string[] {
  return [minToken, ...revoked].map(String);
}

/** An engine unpacks nothing into a container whose root is read-only: there a helper has the volume meanwhile. */
async function placeFiles(
  client: EngineClient,
  { Id, HostConfig, Mounts }: ContainerDescription,
  homeId: HomeId,
  files: readonly File[],
): Promise<void> {
  const containers = new Containers(client);
  const tar = await packed(files);
  const volume = Mounts.find(({ Destination }) => Destination === keeperDirectory)?.Name;
  if (HostConfig.ReadonlyRootfs !== true || volume === undefined) {
    await containers.unpack(Id, keeperDirectory, tar);
    return;
  }
  await withHelper({ client, containers }, helperOptions(homeId, volume, false), async (helper) =>
    containers.unpack(helper, volumeTarget, tar),
  );
}

async function packed(files: readonly File[]): Promise<Buffer> {
  const tar = pack();
  for (const { name, mode, content } of files) {
    tar.entry({ name, mode, uid: 0, gid: 0, mtime: new Date() }, Buffer.from(content));
  }
  tar.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar as AsyncIterable<Uint8Array>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function noKeeper(architecture: string): OpencodeToolsError {
  const known = Object.keys(keeperPrograms).join(' or ');
  return new OpencodeToolsError(
    'OCT_CAPABILITY_UNSUPPORTED',
    `The image cannot be a sandbox: it has no /bin/sh, and the engine runs on ${architecture}, not on ${known}`,
    { remedy: 'Use an image with a shell, such as opencode-sandbox-base.', details: { capability: 'shell' } },
  );
}
