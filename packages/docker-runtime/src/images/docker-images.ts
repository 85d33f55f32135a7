import {
  type BuildProgress,
  type ImageFacts,
  type ImageStore,
  type Logger,
  OpencodeToolsError,
  type StandardImage,
  standardImages,
} from '@opencode-tools/core';
import type { Engine } from '../engine/engine.ts';
import { absentAsUndefined } from '../engine/containers.ts';
import { asPortError, hasStatus } from '../engine/engine-error.ts';
import { buildStandardImage } from './build-image.ts';
import { pullImage } from './pull-image.ts';

/** The parts that we read of the engine's description of an image. */
export interface ImageDescription {
  readonly Id: string;
  readonly RepoTags?: readonly string[] | null;
  readonly RepoDigests?: readonly string[] | null;
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
      const client = await this.#engine.client();
      const path = `/images/${encodeURIComponent(reference)}`;
      try {
        await client.call({ method: 'DELETE', path, query: { noprune: true }, limitMs: 120_000 });
      } catch (error) {
        if (hasStatus(error, 409)) throw imageInUse(reference, error);
        if (!hasStatus(error, 404)) throw error;
      }
    });
  }
}

function imageFacts(image: ImageDescription): ImageFacts {
  return {
    id: image.Id,
    references: [...(image.RepoTags ?? []), ...(image.RepoDigests ?? [])].filter((one) => !one.startsWith('<none>')),
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
