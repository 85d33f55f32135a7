import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { type LayerRoot, OpencodeToolsError } from '@opencode-tools/core';
import { pack } from 'tar-stream';
import { Containers, absentAsUndefined } from '../engine/containers.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import type { Engine } from '../engine/engine.ts';
import { hasStatus } from '../engine/engine-error.ts';
import { fullLabels } from '../plan/labels.ts';
import { helperOptions, volumeTarget, withHelper } from '../volumes/helper-container.ts';
import { firstImage, layerContainer, runOnce } from './layer-containers.ts';
import { LayerHelper } from './layer-helper.ts';

export interface LayerVolumeOptions {
  readonly homeId: string;
  /** Images of ours with GNU tar and coreutils, best first. */
  readonly toolImages: readonly string[];
  /** Name of the volume of layers; one per home. */
  readonly volume: string;
  /** What the volume is labelled as. */
  readonly kind: 'layers' | 'layer-view';
}

export interface OpenedVolume {
  readonly client: EngineClient;
  readonly containers: Containers;
  readonly mountpoint: string;
  /** Tells the volume from another one of its name; an empty text for one that somebody else made. */
  readonly identity: string;
  readonly image: string;
  readonly architecture: string;
}

/** A directory to make in the volume: ours, unless it says whose it is. */
interface NewDirectory {
  readonly path: string;
  readonly root?: LayerRoot;
}

const identityLabel = 'io.opencode-tools.identity';

const ours: LayerRoot = { mode: 0o755, uid: 0, gid: 0 };

/** Directories that are made by one call. */
interface Batch {
  readonly wanted: NewDirectory[];
  readonly made: Promise<void>;
}

interface ContainerChange {
  readonly mounted?: string | undefined;
  readonly stdin?: boolean;
  readonly ofOneCall?: boolean;
}

type Standing = 'first' | 'second' | 'reader';

/** The volume of layers, made at its first use, and the containers that work in it. */
export class LayerVolume {
  readonly #engine: Engine;
  readonly #options: LayerVolumeOptions;
  #opened: Promise<OpenedVolume> | undefined;
  readonly #helpers = new Map<Standing, Promise<LayerHelper>>();
  #batch: Batch | undefined;

  constructor(engine: Engine, options: LayerVolumeOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  async open(): Promise<OpenedVolume> {
    this.#opened ??= this.#make();
    try {
      return await this.#opened;
    } catch (error) {
      this.#opened = undefined;
      throw error;
    }
  }

  /** Asks the helper of this process, which is started when there is none. */
  async ask(request: Buffer): Promise<Buffer> {
    return (await this.#standing('first')).ask(request);
  }

  /** Asks another helper of this process, so that nothing else waits for it. */
  async askBeside(request: Buffer): Promise<Buffer> {
    return (await this.#standing('second')).ask(request);
  }

  /** Asks a helper of this process for what takes long, such as reading all of a layer, one after the other. */
  async askReader(request: Buffer): Promise<Buffer> {
    return (await this.#standing('reader')).ask(request);
  }

  /** Does one thing in a container of its own, with another volume mounted for reading. */
  async askApart(words: readonly string[], mounted?: string, signal?: AbortSignal): Promise<Buffer> {
    const opened = await this.open();
    return runOnce(opened, this.container(opened, words, { mounted }), signal);
  }

  /** Does one thing in a container of its own, which reads a stream to its end. */
  async askOn(input: AsyncIterable<Uint8Array>, words: readonly string[], signal?: AbortSignal): Promise<Buffer> {
    const opened = await this.open();
    return runOnce(opened, this.container(opened, words, { stdin: true }), signal, input);
  }

  /** A container that does something beside the volume, and beside another one if it says so. */
  container(
    { image, architecture }: OpenedVolume,
    words: readonly string[],
    { mounted, stdin = false, ofOneCall = true }: ContainerChange = {},
  ): object {
    const { homeId, volume: layers } = this.#options;
    const view = mounted === undefined ? {} : { mounted };
    return layerContainer({
      homeId,
      layers,
      labels: this.labels,
      image,
      architecture,
      words,
      stdin,
      ofOneCall,
      ...view,
    });
  }

  /**
   * Makes directories as the engine unpacks them: where no helper of this process runs yet, none is started for it. What is wanted until
   * the engine takes them goes along, since each time costs more than any number of directories.
   */
  async makeDirectories(directories: readonly NewDirectory[]): Promise<void> {
    this.#batch ??= this.#newBatch();
    this.#batch.wanted.push(...directories);
    await this.#batch.made;
  }

  /** Ends the helpers of this process. */
  async close(): Promise<void> {
    const helpers = [...this.#helpers.values()];
    this.#helpers.clear();
    await Promise.all(helpers.map(async (helper) => (await helper.catch(() => undefined))?.close()));
  }

  /**
   * Removes the volume with all that is in it.
   *
   * @returns false when a container uses it, such as the helper of another process
   */
  async remove(): Promise<boolean> {
    await this.close();
    this.#opened = undefined;
    try {
      await this.removeOther(this.#options.volume);
      return true;
    } catch (error) {
      if (hasStatus(error, 409)) return false;
      throw error;
    }
  }

  async removeOther(name: string): Promise<void> {
    const client = await this.#engine.client();
    await absentAsUndefined(client.call({ method: 'DELETE', path: `/volumes/${encodeURIComponent(name)}` }));
  }

  #newBatch(): Batch {
    const wanted: NewDirectory[] = [];
    // Whoever wants more from then on begins another.
    const end = (): void => {
      if (this.#batch === batch) this.#batch = undefined;
    };
    const batch: Batch = { wanted, made: this.#makeAll(wanted, end).finally(end) };
    return batch;
  }

  async #makeAll(wanted: readonly NewDirectory[], onTaken: () => void): Promise<void> {
    const opened = await this.open();
    const { homeId, volume } = this.#options;
    await withHelper(opened, helperOptions(homeId, volume, false, this.labels), async (id) => {
      const path = `/containers/${id}/archive`;
      onTaken();
      await opened.client.call({ method: 'PUT', path, query: { path: '/' }, file: tarOf(wanted), moves: true });
    });
  }

  async #standing(which: Standing): Promise<LayerHelper> {
    const known = this.#helpers.get(which);
    const current = await known?.catch(() => undefined);
    if (current?.usable === true) return current;
    // Of several that ask at once, one starts it.
    if (this.#helpers.get(which) !== known) return this.#standing(which);
    const started = this.#startHelper();
    this.#helpers.set(which, started);
    return started;
  }

  async #startHelper(): Promise<LayerHelper> {
    const opened = await this.open();
    return LayerHelper.start(opened, this.container(opened, [], { stdin: true, ofOneCall: false }));
  }

  /** What the volume gets whenever it is made; another identity each time. */
  get labels(): Readonly<Record<string, string>> {
    const { homeId, kind } = this.#options;
    return { ...fullLabels({ home: homeId, kind }), [identityLabel]: randomBytes(8).toString('hex') };
  }

  async #make(): Promise<OpenedVolume> {
    const client = await this.#engine.client();
    const { volume, toolImages } = this.#options;
    const body = { Name: volume, Labels: this.labels };
    const [{ architecture }, image, made] = await Promise.all([
      this.#engine.find(),
      firstImage(async (name) => client.call({ method: 'GET', path: imagePath(name) }), toolImages),
      client.call<{ Mountpoint: string; Labels: Readonly<Record<string, string>> | null }>({
        method: 'POST',
        path: '/volumes/create',
        body,
      }),
    ]);
    if (image === undefined) throw noToolImage(toolImages);
    // An engine gives an existing volume for a new one, with the labels it had.
    const identity = made.Labels?.[identityLabel] ?? '';
    return { client, containers: new Containers(client), mountpoint: made.Mountpoint, identity, image, architecture };
  }
}

function tarOf(directories: readonly NewDirectory[]): Readable {
  const tar = pack();
  const mtime = new Date();
  for (const { path, root = ours } of directories)
    tar.entry({ name: `${volumeTarget.slice(1)}/${path}/`, type: 'directory', mtime, ...root });
  tar.finalize();
  return Readable.from(tar);
}

export function imagePath(name: string): string {
  return `/images/${encodeURIComponent(name)}/json`;
}

function noToolImage(images: readonly string[]): OpencodeToolsError {
  return new OpencodeToolsError('OCT_CAPABILITY_UNSUPPORTED', 'The engine has no image that can work on layers', {
    remedy: `Get one of: ${images.join(', ')}. \`opencode-tools images build\` makes the first.`,
    details: { images },
  });
}
