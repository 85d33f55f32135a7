import type { Readable } from 'node:stream';
import {
  type ByteStream,
  type Logger,
  OpencodeToolsError,
  type VolumeFacts,
  type VolumeListing,
  type VolumePort,
  stackLabel,
} from '@opencode-tools/core';
import { pack } from 'tar-stream';
import { Containers, absentAsUndefined } from '../engine/containers.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import type { Engine } from '../engine/engine.ts';
import { asPortError, hasStatus } from '../engine/engine-error.ts';
import { parseStack } from '../layers/layer-paths.ts';
import { labelKeys } from '../plan/labels.ts';
import { helperOptions, volumeTarget, withHelper } from './helper-container.ts';
import { moveTar } from './move-tar.ts';
import { listWithFind } from './list-tree.ts';
import { type Reading, readWithTar } from './read-with-tar.ts';

interface EngineVolume {
  readonly Name: string;
  readonly Labels: Readonly<Record<string, string>> | null;
  readonly CreatedAt?: string;
}

/** Volumes of a Docker Engine. Trees are written by the engine itself, so that no process of ours touches their names. */
export class DockerVolumes implements VolumePort {
  readonly #engine: Engine;
  readonly #homeId: string;
  readonly #toolImages: readonly string[];
  readonly #logger: Logger;
  readonly #onStackRemoved: (upper: string) => void;

  /**
   * @param toolImages images with GNU tar, best first; without any, times are read in whole seconds
   * @param onStackRemoved told the upper of a volume that is gone: nothing else ever uses it
   */
  constructor(
    engine: Engine,
    homeId: string,
    toolImages: readonly string[],
    logger: Logger,
    onStackRemoved: (upper: string) => void = () => undefined,
  ) {
    this.#engine = engine;
    this.#homeId = homeId;
    this.#toolImages = toolImages;
    this.#logger = logger;
    this.#onStackRemoved = onStackRemoved;
  }

  async create(volume: Parameters<VolumePort['create']>[0]): Promise<void> {
    await doing(`Making the volume ${volume.name}`, async () => {
      const engine = await this.#open();
      const existing = await this.find(volume.name);
      if (existing) assertSameLabels(existing, volume.labels);
      else
        await engine.client.call({
          method: 'POST',
          path: '/volumes/create',
          body: { Name: volume.name, Labels: volume.labels },
        });
      const root = pack();
      root.entry({
        name: './',
        type: 'directory',
        mode: 0o755,
        uid: volume.owner.uid,
        gid: volume.owner.gid,
        mtime: new Date(),
      });
      root.finalize();
      await this.#extract(engine, volume.name, root as unknown as ByteStream);
    });
  }

  async find(name: string): Promise<VolumeFacts | undefined> {
    return doing(`Looking for the volume ${name}`, async () => {
      const { client } = await this.#open();
      const path = `/volumes/${encodeURIComponent(name)}`;
      const found = await absentAsUndefined(client.call<EngineVolume>({ method: 'GET', path }));
      return found && volumeFacts(found);
    });
  }

  async list(labels: Readonly<Record<string, string>>): Promise<readonly VolumeFacts[]> {
    return doing('Listing volumes', async () => {
      const { client } = await this.#open();
      const filters = JSON.stringify({ label: Object.entries(labels).map(([key, value]) => `${key}=${value}`) });
      const answer = await client.call<{ Volumes: readonly EngineVolume[] | null }>({
        method: 'GET',
        path: '/volumes',
        query: { filters },
      });
      return (answer.Volumes ?? []).map(volumeFacts);
    });
  }

  async readTree(name: string, signal?: AbortSignal): Promise<ByteStream> {
    return doing(`Reading the volume ${name}`, async () => {
      const engine = await this.#open();
      await this.#assertExists(name);
      const withTar = await readWithTar(engine, this.#reading(name, signal));
      if (withTar) return withTar;
      this.#logger.debug('No image with tar: times of files are read in whole seconds', { volume: name });
      return this.#archive(engine, name, signal);
    });
  }

  async listTree(name: string, signal?: AbortSignal): Promise<VolumeListing | null> {
    return doing(`Listing the volume ${name}`, async () => {
      const engine = await this.#open();
      await this.#assertExists(name);
      return (await listWithFind(engine, this.#reading(name, signal))) ?? null;
    });
  }

  #reading(volume: string, signal: AbortSignal | undefined): Reading {
    return { homeId: this.#homeId, volume, images: this.#toolImages, signal };
  }

  async writeTree(name: string, tar: ByteStream, signal?: AbortSignal): Promise<void> {
    await doing(`Writing the volume ${name}`, async () => {
      await this.#assertExists(name);
      await this.#extract(await this.#open(), name, tar, signal);
    });
  }

  async remove(name: string): Promise<void> {
    await doing(`Removing the volume ${name}`, async () => {
      const { client, containers } = await this.#open();
      const upper = parseStack((await this.find(name))?.labels[stackLabel])?.upper ?? null;
      const request = { method: 'DELETE', path: `/volumes/${encodeURIComponent(name)}` } as const;
      try {
        await absentAsUndefined(client.call(request));
      } catch (error) {
        if (!hasStatus(error, 409) || !(await this.#removeHelpers(containers, name))) throw error;
        await absentAsUndefined(client.call(request));
      }
      if (upper !== null) this.#onStackRemoved(upper);
    });
  }

  /** A process that was killed while it filled a volume leaves its helper container; who removes the volume removes that. */
  async #removeHelpers(containers: Containers, volume: string): Promise<boolean> {
    const labels = [`${labelKeys.home}=${this.#homeId}`, `${labelKeys.kind}=helper`];
    const helpers = await containers.list(labels, { volume: [volume] });
    await Promise.all(helpers.map(async (id) => containers.remove(id)));
    return helpers.length > 0;
  }

  async #open(): Promise<{ readonly client: EngineClient; readonly containers: Containers }> {
    const client = await this.#engine.client();
    return { client, containers: new Containers(client) };
  }

  async #assertExists(name: string): Promise<void> {
    if (await this.find(name)) return;
    throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The engine has no volume ${name}`, {
      details: { volume: name },
    });
  }

  async #extract(
    engine: { readonly client: EngineClient; readonly containers: Containers },
    volume: string,
    tar: ByteStream,
    signal?: AbortSignal,
  ): Promise<void> {
    await withHelper(engine, helperOptions(this.#homeId, volume, false), async (id) => {
      const path = `/containers/${id}/archive`;
      const file = moveTar(volumeTarget.slice(1), tar);
      await engine.client.call({ method: 'PUT', path, query: { path: '/' }, file, moves: true, signal });
    });
  }

  async #archive(
    engine: { readonly client: EngineClient; readonly containers: Containers },
    volume: string,
    signal?: AbortSignal,
  ): Promise<ByteStream> {
    const { promise, resolve, reject } = Promise.withResolvers<Readable>();
    const done = Promise.withResolvers<void>();
    const helper = withHelper(engine, helperOptions(this.#homeId, volume, true), async (id) => {
      const request = {
        method: 'GET',
        path: `/containers/${id}/archive`,
        query: { path: `${volumeTarget}/.` },
        moves: true,
        signal,
      } as const;
      resolve(await engine.client.stream(request));
      await done.promise;
    });
    helper.catch(reject);
    const stream = await promise;
    return (async function* chunks() {
      try {
        for await (const chunk of moveTar('.', stream)) yield chunk as Uint8Array;
      } finally {
        done.resolve();
        await helper;
      }
    })();
  }
}

function volumeFacts(volume: EngineVolume): VolumeFacts {
  return {
    name: volume.Name,
    labels: volume.Labels ?? {},
    createdAt: new Date(volume.CreatedAt ?? 0).toISOString(),
  };
}

function assertSameLabels(existing: VolumeFacts, labels: Readonly<Record<string, string>>): void {
  if (Object.entries(labels).every(([key, value]) => existing.labels[key] === value)) return;
  throw new OpencodeToolsError(
    'OCT_INVALID_ARGUMENT',
    `The volume ${existing.name} exists and belongs to something else`,
    {
      remedy: 'Use another name.',
      details: { volume: existing.name },
    },
  );
}

async function doing<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (hasStatus(error, 409)) {
      const message = error instanceof Error ? error.message : '';
      throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `${what}: ${message}`, {
        remedy: 'Remove the sandboxes that use it first.',
        cause: error,
      });
    }
    throw asPortError(error, what);
  }
}
