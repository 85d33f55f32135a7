import { hash } from 'node:crypto';
import type {
  ArchiveRequest,
  Archived,
  ByteStream,
  LayerCapability,
  LayerPort,
  LayerStack,
  Logger,
  VolumeRecipe,
} from '@opencode-tools/core';
import type { Engine } from '../engine/engine.ts';
import { asPortError } from '../engine/engine-error.ts';
import { fullLabels } from '../plan/labels.ts';
import { type ArchiveTools, archiveUpper } from './archive-upper.ts';
import { findCapability } from './find-capability.ts';
import { mountedTarget } from './layer-containers.ts';
import { mostLayersAt } from './layer-paths.ts';
import {
  absentAnswer,
  digestRequest,
  fillWords,
  likeRequest,
  scriptRequest,
  scriptWords,
  sealRequest,
  unpackRequest,
} from './layer-requests.ts';
import * as scripts from './layer-scripts.ts';
import { digestIn, sizeOf } from './layer-size.ts';
import { findStack, listStacks, makeStack, stackRecipe } from './layer-stacks.ts';
import { LayerVolume, type LayerVolumeOptions } from './layer-volume.ts';

export interface DockerLayersOptions extends Omit<LayerVolumeOptions, 'kind'> {
  readonly logger: Logger;
}

/** Layers on a Docker Engine, through its socket alone: the engine mounts them, helpers copy them. */
export class DockerLayers implements LayerPort {
  readonly #engine: Engine;
  readonly #options: DockerLayersOptions;
  readonly #volume: LayerVolume;
  #capability: Promise<LayerCapability> | undefined;
  readonly #removals = new Set<Promise<void>>();

  /** @param kind what the volume of layers is labelled as */
  constructor(engine: Engine, options: DockerLayersOptions, kind: LayerVolumeOptions['kind'] = 'layers') {
    this.#engine = engine;
    this.#options = options;
    this.#volume = new LayerVolume(engine, { ...options, kind });
  }

  async capability(): Promise<LayerCapability> {
    const trial = (options: DockerLayersOptions) => {
      const layers = new DockerLayers(this.#engine, options, 'layer-view');
      return { layers, volume: layers.#volume };
    };
    this.#capability ??= findCapability(this.#engine, this.#options, trial);
    try {
      return await this.#capability;
    } catch (error) {
      this.#capability = undefined;
      throw asPortError(error, 'Trying overlay layers');
    }
  }

  async mostLayers(): Promise<number> {
    return doing('Reading the volume of layers', async () => mostLayersAt((await this.#volume.open()).mountpoint));
  }

  async prepare(uppers: Parameters<LayerPort['prepare']>[0]): Promise<void> {
    await doing('Making layers', async () => {
      await this.#volume.makeDirectories(
        uppers.flatMap(({ name, root: { mode, uid, gid } }) => [
          { path: name },
          { path: `${name}/d`, root: { mode, uid, gid } },
          { path: `${name}/w` },
        ]),
      );
      for (const { name, like } of uppers) if (like !== undefined) await this.#volume.ask(likeRequest(name, like));
    });
  }

  async makeEmpty(layer: string): Promise<string> {
    await doing('Making a layer', async () => this.#volume.makeDirectories([{ path: layer }, { path: `${layer}/d` }]));
    return hash('sha256', scripts.emptyText);
  }

  async recipe(stack: LayerStack): Promise<VolumeRecipe> {
    return doing('Describing a stack of layers', async () =>
      stackRecipe((await this.#volume.open()).mountpoint, stack),
    );
  }

  async stack(volume: Parameters<LayerPort['stack']>[0], stack: LayerStack): Promise<void> {
    await doing(`Stacking layers into the volume ${volume.name}`, async () => {
      const { client, mountpoint } = await this.#volume.open();
      await makeStack(client, volume, stackRecipe(mountpoint, stack));
    });
  }

  async stackOf(volume: string): Promise<LayerStack | undefined> {
    return doing(`Looking for the volume ${volume}`, async () => findStack(await this.#engine.client(), volume));
  }

  async stacks(): Promise<readonly LayerStack[]> {
    return doing('Listing stacks of layers', async () => listStacks(await this.#engine.client(), this.#options.homeId));
  }

  async archive(request: ArchiveRequest): Promise<Archived> {
    const ask = async (wanted: Buffer) => this.#volume.ask(wanted);
    const copyMounted: ArchiveTools['copyMounted'] = async (volume, layer, names, isDeep) =>
      this.#copyMounted(volume, layer, names, request.signal, isDeep);
    return doing(`Archiving the volume ${request.volume}`, async () => archiveUpper({ ask, copyMounted }, request));
  }

  async unpack(layer: string): Promise<void> {
    await doing('Unpacking a layer', async () => void (await this.#volume.askBeside(unpackRequest(layer))));
  }

  async fill(...[layer, tar, signal]: Parameters<LayerPort['fill']>): ReturnType<LayerPort['fill']> {
    return doing('Filling a layer', async () => {
      const said = (await this.#volume.askOn(tar, fillWords(layer), signal)).toString('latin1');
      const [, attributes] = said.trim().split(' ');
      return { digest: digestIn(said), ...(attributes === undefined ? {} : { attributes }) };
    });
  }

  async flatten(...[layer, lowers, signal]: Parameters<LayerPort['flatten']>): ReturnType<LayerPort['flatten']> {
    return doing('Flattening layers', async () => {
      const name = `oct-flatten-${layer}`;
      const labels = fullLabels({ home: this.#options.homeId, kind: 'layer-view' });
      await this.stack({ name, labels }, { upper: null, lowers });
      try {
        await this.#copyMounted(name, layer, lowers, signal);
      } finally {
        await this.#volume.removeOther(name);
      }
      const { size, digest } = sizeOf(await this.#volume.ask(sealRequest(layer)));
      return { ...size, digest };
    });
  }

  async digest(layer: string): Promise<string | undefined> {
    return doing('Reading a layer', async () => {
      const said = (await this.#volume.askReader(digestRequest(layer))).toString('latin1');
      return said === absentAnswer ? undefined : digestIn(said);
    });
  }

  async read(layer: string): Promise<ByteStream> {
    return doing('Reading a layer', async () => chunks(await this.#run(scripts.readScript(layer))));
  }

  async identity(): Promise<string> {
    return doing('Reading the volume of layers', async () => (await this.#volume.open()).identity);
  }

  async names(): Promise<ReadonlySet<string>> {
    return doing('Listing layers', async () => {
      const lines = (await this.#run(scripts.namesScript())).toString('latin1').split('\n');
      return new Set(lines.filter((line) => line !== ''));
    });
  }

  async list(): ReturnType<LayerPort['list']> {
    return doing('Listing layers', async () => {
      const lines = (await this.#run(scripts.listLayersScript())).toString('latin1').split('\n');
      return lines
        .filter((line) => line !== '')
        .map((line) => {
          const [kilobytes, name = ''] = line.split('\t');
          return { name, diskBytes: Number(kilobytes) * 1024 };
        });
    });
  }

  async remove(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    await doing('Removing layers', async () => void (await this.#run(scripts.removeScript(names))));
  }

  async retire(): Promise<boolean> {
    return doing('Removing the volume of layers', async () => this.#volume.remove());
  }

  /** Removes an upper in the background; what could not be removed is left to the collection of garbage. */
  discard(upper: string): void {
    const removal = this.remove([upper])
      .catch((error: unknown) =>
        this.#options.logger.warn('The changes of a removed volume were left on the engine', {
          upper,
          error: String(error),
        }),
      )
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
  }

  /** Waits for what goes on in the background and ends the helper of this process. */
  async close(): Promise<void> {
    await Promise.all(this.#removals);
    await this.#volume.close();
  }

  async #run(script: string): Promise<Buffer> {
    return this.#volume.ask(scriptRequest(script));
  }

  async #copyMounted(
    volume: string,
    layer: string,
    names: readonly string[],
    signal: AbortSignal | undefined,
    isDeep = false,
  ): Promise<void> {
    const words = scriptWords(scripts.copyMountedScript(mountedTarget, layer, names, isDeep));
    await this.#volume.askApart(words, volume, signal);
  }
}

async function* chunks(whole: Buffer): AsyncGenerator<Uint8Array> {
  yield whole;
}

async function doing<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw asPortError(error, what);
  }
}
