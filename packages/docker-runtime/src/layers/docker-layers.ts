import {
  type ArchiveRequest,
  type Archived,
  type ByteStream,
  type LayerCapability,
  type LayerPort,
  type LayerRoot,
  type LayerSize,
  type LayerStack,
  type Logger,
  OpencodeToolsError,
  type VolumeRecipe,
  stackLabel,
} from '@opencode-tools/core';
import { Containers, absentAsUndefined } from '../engine/containers.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import type { Engine } from '../engine/engine.ts';
import { asPortError } from '../engine/engine-error.ts';
import { fullLabels, labelKeys } from '../plan/labels.ts';
import { helperOptions, volumeTarget, withHelper } from '../volumes/helper-container.ts';
import { moveTar } from '../volumes/move-tar.ts';
import { archiveUpper } from './archive-upper.ts';
import { firstImage, layerContainer, mountedTarget, runOnce } from './layer-containers.ts';
import { LayerHelper, helperLoop } from './layer-helper.ts';
import { mostLayersAt, overlayOptions, parseStack, stackText } from './layer-paths.ts';
import * as scripts from './layer-scripts.ts';
import { sizeOf } from './layer-size.ts';
import { rememberAble, tryLayers, whatItDependsOn, wasAble } from './probe-layers.ts';

export interface DockerLayersOptions {
  readonly homeId: string;
  /** Images of ours with GNU find, tar and coreutils, best first. */
  readonly toolImages: readonly string[];
  readonly logger: Logger;
  /** Name of the volume of layers; one per home. */
  readonly volume: string;
}

interface Opened {
  readonly client: EngineClient;
  readonly containers: Containers;
  readonly mountpoint: string;
  readonly image: string;
}

/** Layers on a Docker Engine, through its socket alone: the engine mounts them, helpers copy them. */
export class DockerLayers implements LayerPort {
  readonly #engine: Engine;
  readonly #options: DockerLayersOptions;
  #opened: Promise<Opened> | undefined;
  #helper: Promise<LayerHelper> | undefined;
  #capability: Promise<LayerCapability> | undefined;
  readonly #removals = new Set<Promise<void>>();

  constructor(engine: Engine, options: DockerLayersOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  async capability(): Promise<LayerCapability> {
    this.#capability ??= this.#findOut();
    try {
      return await this.#capability;
    } catch (error) {
      this.#capability = undefined;
      throw asPortError(error, 'Trying overlay layers');
    }
  }

  async mostLayers(): Promise<number> {
    return doing('Reading the volume of layers', async () => mostLayersAt((await this.#open()).mountpoint));
  }

  async prepare(uppers: readonly { readonly name: string; readonly root: LayerRoot }[]): Promise<void> {
    await doing('Making layers', async () => void (await this.#run(scripts.prepareScript(uppers))));
  }

  async makeEmpty(layer: string): Promise<void> {
    await doing('Making a layer', async () => void (await this.#run(scripts.makeEmptyScript(layer))));
  }

  async recipe(stack: LayerStack): Promise<VolumeRecipe> {
    return doing('Describing a stack of layers', async () => {
      const options = overlayOptions((await this.#open()).mountpoint, stack);
      return { labels: { [stackLabel]: stackText(stack) }, options };
    });
  }

  async stack(volume: Parameters<LayerPort['stack']>[0], stack: LayerStack): Promise<void> {
    await doing(`Stacking layers into the volume ${volume.name}`, async () => {
      const { labels, options } = await this.recipe(stack);
      const { client } = await this.#open();
      const all = { ...volume.labels, ...labels };
      const body = { Name: volume.name, Driver: 'local', DriverOpts: options, Labels: all };
      await client.call({ method: 'POST', path: '/volumes/create', body });
      // An engine gives an existing volume of the name for a new one, with the options it had.
      const made = await this.stackOf(volume.name);
      if (made !== undefined && stackText(made) === stackText(stack)) return;
      throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The volume ${volume.name} exists already`, {
        details: { volume: volume.name },
      });
    });
  }

  async stackOf(volume: string): Promise<LayerStack | undefined> {
    return doing(`Looking for the volume ${volume}`, async () => {
      const client = await this.#engine.client();
      const path = `/volumes/${encodeURIComponent(volume)}`;
      const found = await absentAsUndefined(
        client.call<{ Labels: Readonly<Record<string, string>> | null }>({ method: 'GET', path }),
      );
      return parseStack(found?.Labels?.[stackLabel]);
    });
  }

  async stacks(): Promise<readonly LayerStack[]> {
    return doing('Listing stacks of layers', async () => {
      const client = await this.#engine.client();
      const filters = JSON.stringify({ label: [`${labelKeys.home}=${this.#options.homeId}`, stackLabel] });
      const answer = await client.call<{ Volumes: readonly { Labels: Readonly<Record<string, string>> }[] | null }>({
        method: 'GET',
        path: '/volumes',
        query: { filters },
      });
      return (answer.Volumes ?? []).flatMap(({ Labels }) => parseStack(Labels[stackLabel]) ?? []);
    });
  }

  async archive(request: ArchiveRequest): Promise<Archived> {
    return doing(`Archiving the volume ${request.volume}`, async () =>
      archiveUpper(
        {
          run: async (script, input) => this.#run(script, input),
          copyMounted: async (volume, layer, names) => this.#copyMounted(volume, layer, names, request.signal),
        },
        request,
      ),
    );
  }

  async fill(layer: string, tar: ByteStream, signal?: AbortSignal): Promise<void> {
    await doing('Filling a layer', async () => {
      const opened = await this.#open();
      const { homeId, volume } = this.#options;
      await withHelper(opened, helperOptions(homeId, volume, false), async (id) => {
        const file = moveTar(`${volumeTarget.slice(1)}/${layer}/d`, tar);
        const path = `/containers/${id}/archive`;
        await opened.client.call({ method: 'PUT', path, query: { path: '/' }, file, moves: true, signal });
      });
      await this.#run(scripts.syncScript(layer));
    });
  }

  async flatten(layer: string, lowers: readonly string[], signal?: AbortSignal): Promise<LayerSize> {
    return doing('Flattening layers', async () => {
      const { homeId } = this.#options;
      const name = `oct-flatten-${layer}`;
      const labels = fullLabels({ home: homeId, kind: 'layer-view' });
      await this.stack({ name, labels }, { upper: null, lowers });
      try {
        await this.#copyMounted(name, layer, lowers, signal);
      } finally {
        await this.#removeVolume(name);
      }
      await this.#run(scripts.syncScript(layer));
      return sizeOf(await this.#run(scripts.sizeScript(layer))).size;
    });
  }

  async digest(layer: string, signal?: AbortSignal): Promise<string | undefined> {
    return doing('Reading a layer', async () => {
      if (!(await this.#names()).has(layer)) return undefined;
      const command = ['sh', '-c', scripts.digestScript(layer)];
      const answer = await runOnce(await this.#open(), await this.#container(command), signal);
      return answer.toString('latin1').slice(0, 64);
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
    const helper = this.#helper;
    this.#helper = undefined;
    await (await helper?.catch(() => undefined))?.close();
  }

  async #findOut(): Promise<LayerCapability> {
    const { homeId, toolImages, logger } = this.#options;
    const client = await this.#engine.client();
    const image = await firstImage(async (name) => client.call({ method: 'GET', path: imagePath(name) }), toolImages);
    if (image === undefined)
      return { able: false, reason: `the engine has none of the images ${toolImages.join(', ')}` };
    const about = await whatItDependsOn(client);
    if (await wasAble(client, about)) return { able: true };
    const trial = new DockerLayers(this.#engine, {
      homeId,
      toolImages: [image],
      logger,
      volume: `${this.#options.volume}-trial-${Date.now().toString(36)}`,
    });
    const capability = await trial.#try();
    if (capability.able) await rememberAble(client, about);
    else logger.info('This engine cannot stack layers', { reason: capability.reason });
    return capability;
  }

  async #try(): Promise<LayerCapability> {
    const { homeId, volume } = this.#options;
    try {
      const opened = await this.#open();
      const run = async (mounted: string, script: string): Promise<string> => {
        const container = layerContainer({
          homeId,
          layers: volume,
          image: opened.image,
          command: ['sh', '-c', script],
          stdin: false,
        }) as { HostConfig: { Mounts: readonly object[] } };
        const view = { Type: 'volume', Source: mounted, Target: mountedTarget, VolumeOptions: { NoCopy: true } };
        const host = { ...container.HostConfig, Mounts: [...container.HostConfig.Mounts, view] };
        return (await runOnce(opened, { ...container, HostConfig: host })).toString('utf8');
      };
      return await tryLayers(this, { prefix: volume, run, remove: async (name) => this.#removeVolume(name) });
    } catch (error) {
      return { able: false, reason: error instanceof Error ? error.message : String(error) };
    } finally {
      await this.close();
      await this.#removeVolume(volume);
    }
  }

  async #copyMounted(
    volume: string,
    layer: string,
    names: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const command = ['sh', '-c', scripts.copyMountedScript(mountedTarget, layer, names)];
    await runOnce(await this.#open(), await this.#container(command, volume), signal);
  }

  async #container(command: readonly string[], mounted?: string): Promise<object> {
    const { image } = await this.#open();
    const { homeId, volume } = this.#options;
    const view = mounted === undefined ? {} : { mounted };
    return layerContainer({ homeId, layers: volume, image, command, stdin: false, ...view });
  }

  async #names(): Promise<ReadonlySet<string>> {
    return new Set((await this.#run('ls /layers')).toString('latin1').split('\n'));
  }

  async #run(script: string, input?: Uint8Array): Promise<Buffer> {
    return (await this.#standing()).run(script, input);
  }

  async #standing(): Promise<LayerHelper> {
    const current = await this.#helper?.catch(() => undefined);
    if (current?.usable === true) return current;
    this.#helper = this.#startHelper();
    return this.#helper;
  }

  async #startHelper(): Promise<LayerHelper> {
    const opened = await this.#open();
    const { homeId, volume } = this.#options;
    const { image } = opened;
    return LayerHelper.start(
      opened,
      layerContainer({ homeId, layers: volume, image, command: helperLoop, stdin: true }),
    );
  }

  async #open(): Promise<Opened> {
    this.#opened ??= this.#openVolume();
    try {
      return await this.#opened;
    } catch (error) {
      this.#opened = undefined;
      throw error;
    }
  }

  async #openVolume(): Promise<Opened> {
    const client = await this.#engine.client();
    const { homeId, volume, toolImages } = this.#options;
    const body = { Name: volume, Labels: fullLabels({ home: homeId, kind: 'layers' }) };
    const [image, made] = await Promise.all([
      firstImage(async (name) => client.call({ method: 'GET', path: imagePath(name) }), toolImages),
      client.call<{ Mountpoint: string }>({ method: 'POST', path: '/volumes/create', body }),
    ]);
    if (image === undefined)
      throw new OpencodeToolsError('OCT_CAPABILITY_UNSUPPORTED', 'The engine has no image that can work on layers');
    return { client, containers: new Containers(client), mountpoint: made.Mountpoint, image };
  }

  async #removeVolume(name: string): Promise<void> {
    const { client } = await this.#open();
    await absentAsUndefined(client.call({ method: 'DELETE', path: `/volumes/${encodeURIComponent(name)}` }));
  }
}

function imagePath(name: string): string {
  return `/images/${encodeURIComponent(name)}/json`;
}

async function doing<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw asPortError(error, what);
  }
}
