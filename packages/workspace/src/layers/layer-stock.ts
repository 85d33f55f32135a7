import type { LayerPort } from '@opencode-tools/core';
import { corrupt } from '../failures.ts';
import type { LayerFiles, LayerSnapshot } from './layer-files.ts';

/**
 * Knows which layers are gone from the engine, which may lose some or all of them behind our back. What was made ahead and is gone is
 * forgotten, so that it is made again; what held work is remembered as gone.
 */
export class LayerStock {
  readonly #layers: LayerPort;
  readonly #files: LayerFiles;
  readonly #gone = new Set<string>();
  #compared: Promise<void> | undefined;

  constructor(layers: LayerPort, files: LayerFiles) {
    this.#layers = layers;
    this.#files = files;
  }

  /** Looks at what is there when the place of the layers is another one than this home knows; once in a process. */
  async compare(): Promise<void> {
    this.#compared ??= this.#compare();
    try {
      await this.#compared;
    } catch (error) {
      this.#compared = undefined;
      throw error;
    }
  }

  /** Looks at what is there now. @returns the names of all layers and uppers */
  async take(): Promise<ReadonlySet<string>> {
    // In this order: what is recorded by now was made before.
    const ahead = (await this.#files.listEquals()).filter(({ name }) => /^(base|flat)-/.test(name));
    const spares = await this.#files.spares.list();
    const snapshots = new Map<string, LayerSnapshot>();
    for (const id of await this.#files.listSnapshots()) {
      const snapshot = await this.#files.findSnapshot(id).catch(() => undefined);
      if (snapshot !== undefined) snapshots.set(id, snapshot);
    }
    const there = await this.#layers.names();
    const isGone = (layer: string): boolean => !there.has(layer);
    // Somebody may have put one back.
    this.#gone.clear();
    for (const { layers } of snapshots.values()) for (const layer of layers.filter(isGone)) this.#gone.add(layer);
    for (const { name, equal } of ahead) {
      if (snapshots.get(equal)?.layers.some(isGone) === true) await this.#files.removeEqual(name);
    }
    await this.#files.spares.remove(spares.filter(isGone));
    return there;
  }

  /** The first layer of a snapshot that was gone when this process looked last. */
  lost({ layers }: Pick<LayerSnapshot, 'layers'>): string | undefined {
    return layers.find((layer) => this.#gone.has(layer));
  }

  /** Says of a failure that layers are gone, where that is so. */
  async explained<T>(snapshot: LayerSnapshot, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      await this.take().catch(() => {
        throw error;
      });
      const layer = this.lost(snapshot);
      throw layer === undefined ? error : layerGone(snapshot.id, layer);
    }
  }

  async #compare(): Promise<void> {
    const identity = await this.#layers.identity();
    const known = await this.#files.findPlace();
    if (known === identity) return;
    // Whoever asks has a mark of its own by now, so marks tell nothing.
    const { length } = [...(await this.#files.listSnapshots()), ...(await this.#files.spares.list())];
    if (length > 0) await this.take();
    await this.#files.savePlace(identity);
  }
}

/** What is said of a snapshot that has lost a layer. */
export function layerGone(snapshotId: string, layer: string): Error {
  return corrupt(snapshotId, `layer ${layer}`, 'it is gone from the engine');
}
