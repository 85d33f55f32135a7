import { type ImageFacts, OpencodeToolsError } from '@opencode-tools/core';
import { absentAsUndefined } from '../engine/containers.ts';
import { hasStatus } from '../engine/engine-error.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import type { ImageDescription } from './docker-images.ts';

/** Lets a name lead to an image; another image that it led to stays. */
export async function tagImage(client: EngineClient, id: string, repository: string, tag: string): Promise<void> {
  await client.call({ method: 'POST', path: `/images/${id}/tag`, query: { repo: repository, tag } });
}

/** Absent is fine; images below it stay. */
export async function removeImage(client: EngineClient, reference: string): Promise<void> {
  const path = `/images/${encodeURIComponent(reference)}`;
  const removal = { method: 'DELETE', path, query: { noprune: true }, limitMs: 120_000 } as const;
  await absentAsUndefined(client.call(removal));
}

/** Returns false at the first that something needs. */
export async function removeUnlessUsed(client: EngineClient, references: readonly string[]): Promise<boolean> {
  try {
    for (const reference of references) await removeImage(client, reference);
    return true;
  } catch (error) {
    if (hasStatus(error, 409)) return false;
    throw error;
  }
}

/** What a builder left between an image and its base, one for each step; nothing unless all of it has no name. */
export async function layersBetween(
  id: string,
  base: string,
  describe: (id: string) => Promise<ImageDescription | undefined>,
): Promise<readonly string[]> {
  const layers: string[] = [];
  for (let at = (await describe(id))?.Parent ?? ''; at !== base;) {
    const layer = at === '' ? undefined : await describe(at);
    if (layer === undefined || (layer.RepoTags ?? []).length > 0) return [];
    layers.push(at);
    at = layer.Parent ?? '';
  }
  return layers;
}

/** True of what a Dockerfile made only for setup steps to run on. */
export function isStage({ references }: ImageFacts, name: string): boolean {
  return references.length > 0 && references.every((reference) => reference.startsWith(`${name}:dockerfile-`));
}

/** True of a version that is named by its tag, by its content id, or by at least four digits that this begins with. */
export function isNamed({ id, references }: ImageFacts, name: string, wanted: string): boolean {
  const digits = wanted.replace(/^sha256:/, '');
  return (
    references.includes(`${name}:${wanted}`) || (/^[0-9a-f]{4,64}$/.test(digits) && id.startsWith(`sha256:${digits}`))
  );
}

export function noVersion(name: string, wanted: string | undefined): OpencodeToolsError {
  const which = wanted === undefined ? 'no version before its current one' : `no version ${wanted}`;
  return new OpencodeToolsError('OCT_IMAGE_NOT_FOUND', `${name} has ${which}`, {
    remedy: 'See which there are with `opencode-tools images versions`.',
    details: { image: name },
  });
}
