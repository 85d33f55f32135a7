import {
  type BuildProgress,
  type ByteStream,
  type ImageFacts,
  type ImageRecipe,
  type ImageStore,
  type ImageVersion,
  type Logger,
  OpencodeToolsError,
  type StandardImage,
  standardImages,
} from '@opencode-tools/core';
import type { Engine } from '../engine/engine.ts';
import { absentAsUndefined } from '../engine/containers.ts';
import { asPortError, hasStatus } from '../engine/engine-error.ts';
import { buildStandardImage } from './build-image.ts';
import { fullLabels, labelKeys } from '../plan/labels.ts';
import { type KnownImages, makeImage } from './make-image.ts';
import {
  isNamed,
  isStage,
  layersBetween,
  noVersion,
  removeImage,
  removeUnlessUsed,
  tagImage,
} from './image-versions.ts';
import { asOwnImage, loadImage } from './own-image.ts';
import { pullImage } from './pull-image.ts';

/** The parts that we read of the engine's description of an image. */
export interface ImageDescription {
  readonly Id: string;
  readonly RepoTags?: readonly string[] | null;
  readonly RepoDigests?: readonly string[] | null;
  /** Empty for an image that was not built here. */
  readonly Parent?: string;
  readonly Size: number;
  readonly Created: string;
  readonly Config?: {
    readonly Env?: readonly string[] | null;
    readonly Cmd?: readonly string[] | null;
    readonly User?: string;
    readonly WorkingDir?: string;
    readonly Labels?: Readonly<Record<string, string>> | null;
  };
  readonly RootFS?: { readonly Layers?: readonly string[] };
}

interface ImageRow {
  readonly Id: string;
}

/** Images on a Docker Engine. */
export class DockerImages implements ImageStore {
  readonly #engine: Engine;
  readonly #logger: Logger;

  constructor(engine: Engine, logger: Logger) {
    this.#engine = engine;
    this.#logger = logger;
  }

  async find(reference: string): Promise<ImageFacts | undefined> {
    return doing(`Looking for the image ${reference}`, async () => {
      const found = await this.#describe(reference);
      if (found) return imageFacts(found);
      // An engine knows a digest of a registry by name; of an image that was built here it knows the id alone.
      const { name, id } = splitDigest(reference);
      const built = id && (await this.#describe(id));
      return built && namesOf(built).includes(name) ? imageFacts(built) : undefined;
    });
  }

  async #describe(reference: string): Promise<ImageDescription | undefined> {
    const client = await this.#engine.client();
    const path = `/images/${encodeURIComponent(reference)}/json`;
    return absentAsUndefined(client.call<ImageDescription>({ method: 'GET', path }));
  }

  async ensure(reference: string, options: { readonly signal?: AbortSignal } = {}): Promise<ImageFacts> {
    const found = await this.find(reference);
    if (found) return found;
    if (isStandard(reference) || reference.startsWith('sha256:')) throw imageNotFound(reference);
    await pullImage(await this.#engine.client(), reference, { signal: options.signal });
    const pulled = await this.find(reference);
    if (!pulled) throw imageNotFound(reference);
    return pulled;
  }

  async build(
    name: StandardImage,
    options: { readonly onProgress?: BuildProgress; readonly force?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<ImageFacts> {
    return doing(`Building ${name}`, async () => {
      const reference = await buildStandardImage(await this.#engine.client(), name, {
        ...options,
        logger: this.#logger,
      });
      const built = await this.find(reference);
      if (!built) throw imageNotFound(reference);
      return built;
    });
  }

  async make(
    recipe: ImageRecipe,
    options: { readonly onProgress?: BuildProgress; readonly force?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<ImageFacts> {
    return doing(`Making ${recipe.name}`, async () => {
      const client = await this.#engine.client();
      const known: KnownImages = {
        ensure: async (reference) => this.ensure(reference, options),
        list: async (labels) => this.list({ labels }),
        tag: async (id, repository, tag) => tagImage(client, id, repository, tag),
      };
      const onLine = options.onProgress ?? ((line: string): void => this.#logger.debug(line));
      return this.ensure(await makeImage(client, known, recipe, { ...options, onLine }));
    });
  }

  async versions(name: string): Promise<readonly ImageVersion[]> {
    return doing(`Listing the versions of ${name}`, async () => {
      const found = await this.list({ labels: { [labelKeys.recipe]: name } });
      const versions = await Promise.all(
        found.filter((image) => !isStage(image, name)).map(async (image) => this.#version(image, name)),
      );
      return versions.sort((a, b) => (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : 0));
    });
  }

  async #version(image: ImageFacts, name: string): Promise<ImageVersion> {
    const [base = '', ...rest] = (image.labels[labelKeys.base] ?? '').split(' sha256:');
    const known = rest.length === 1 && !base.startsWith('the Dockerfile');
    const now = known ? await this.find(base) : undefined;
    const stale = known && now?.id !== `sha256:${rest[0]}`;
    return { ...image, current: image.references.includes(`${name}:latest`), stale: known ? stale : null };
  }

  async rollBack(name: string, to?: string): Promise<ImageVersion> {
    return doing(`Rolling ${name} back`, async () => {
      const versions = await this.versions(name);
      const at = versions.findIndex(({ current }) => current);
      const wanted = to === undefined ? versions[at + 1] : versions.find((one) => isNamed(one, name, to));
      if (wanted === undefined || (to === undefined && at < 0)) throw noVersion(name, to);
      await tagImage(await this.#engine.client(), wanted.id, name, 'latest');
      return { ...wanted, current: true };
    });
  }

  async removeVersion({ id, references, labels }: ImageVersion): Promise<boolean> {
    return doing('Removing a version of an image', async () => {
      const base = /sha256:[0-9a-f]{64}$/.exec(labels[labelKeys.base] ?? '')?.[0];
      const client = await this.#engine.client();
      const layers = base === undefined ? [] : await layersBetween(id, base, async (one) => this.#describe(one));
      if (!(await removeUnlessUsed(client, [...references, id]))) return false;
      // From the top: the first that another version is made of as well has everything below it in use.
      await removeUnlessUsed(client, layers);
      return true;
    });
  }

  async save(id: string, options: { readonly signal?: AbortSignal } = {}): Promise<ByteStream> {
    return doing(`Saving the image ${id}`, async () => {
      if ((await this.#describe(id)) === undefined) throw imageNotFound(id);
      const client = await this.#engine.client();
      const path = `/images/${encodeURIComponent(id)}/get`;
      return client.stream({ method: 'GET', path, moves: true, signal: options.signal });
    });
  }

  async load(
    saved: ByteStream,
    { tag, labels }: Parameters<ImageStore['load']>[1],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<ImageFacts> {
    return doing('Loading an image', async () => {
      const { client, architecture } = await this.#engine.find();
      const own = { tag, labels: { ...fullLabels({ kind: 'snapshot' }), ...labels }, architecture };
      await loadImage(client, asOwnImage(saved, own), options.signal);
      const loaded = await this.find(tag);
      if (!loaded) throw imageNotFound(tag);
      return loaded;
    });
  }

  async list(filter: { readonly labels?: Readonly<Record<string, string>> } = {}): Promise<readonly ImageFacts[]> {
    return doing('Listing images', async () => {
      const client = await this.#engine.client();
      const label = Object.entries(filter.labels ?? {}).map(([key, value]) => `${key}=${value}`);
      const query = label.length > 0 ? { filters: JSON.stringify({ label }) } : {};
      const rows = await client.call<readonly ImageRow[]>({ method: 'GET', path: '/images/json', query });
      const facts = await Promise.all(rows.map(async (row) => this.find(row.Id)));
      return facts.filter((one) => one !== undefined);
    });
  }

  /** Images below it stay, also untagged ones: a task may be known to need them by their id alone. */
  async remove(reference: string): Promise<void> {
    await doing(`Removing the image ${reference}`, async () => {
      try {
        await removeImage(await this.#engine.client(), reference);
      } catch (error) {
        throw hasStatus(error, 409) ? imageInUse(reference, error) : error;
      }
    });
  }
}

function imageFacts(image: ImageDescription): ImageFacts {
  // Where the engine keeps images in containerd, whatever has a tag also has its id as a digest: that is nobody's name for it.
  const digests = (image.RepoDigests ?? []).filter((one) => !one.endsWith(`@${image.Id}`));
  return {
    id: image.Id,
    user: image.Config?.User ?? '',
    references: [...(image.RepoTags ?? []), ...digests].filter((one) => !one.startsWith('<none>')),
    sizeBytes: image.Size,
    createdAt: new Date(image.Created).toISOString(),
    labels: image.Config?.Labels ?? {},
  };
}

/** `name@sha256:…` in its parts; no id for any other reference. */
function splitDigest(reference: string): { readonly name: string; readonly id: string | undefined } {
  const [name = '', id] = reference.split('@', 2);
  return { name: withoutTag(name), id: id?.startsWith('sha256:') ? id : undefined };
}

/** The names that an image has, without their tags. */
function namesOf({ RepoTags }: ImageDescription): readonly string[] {
  return (RepoTags ?? []).map(withoutTag);
}

function withoutTag(reference: string): string {
  const colon = reference.lastIndexOf(':');
  return colon > reference.lastIndexOf('/') ? reference.slice(0, colon) : reference;
}

function isStandard(reference: string): boolean {
  return standardImages.some(
    (name) => reference === name || (/^[:@]/.test(reference.slice(name.length)) && reference.startsWith(name)),
  );
}

export function imageNotFound(reference: string): OpencodeToolsError {
  const remedy = isStandard(reference)
    ? 'Build it with `opencode-tools images build`.'
    : 'Check the reference; pull or build the image, or use one of ours: `opencode-tools images build`.';
  return new OpencodeToolsError('OCT_IMAGE_NOT_FOUND', `The engine has no image ${reference}`, {
    remedy,
    details: { image: reference },
  });
}

function imageInUse(reference: string, cause: unknown): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The image ${reference} is in use`, {
    remedy: 'Remove the sandboxes and images made from it first.',
    details: { image: reference },
    cause,
  });
}

async function doing<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw asPortError(error, what);
  }
}
