import type { LayerPort } from '@opencode-tools/core';
import type { ContentStore } from '../content-store-contract.ts';
import { throwIfCancelled } from '../failures.ts';
import type { LayerFiles, LayerSnapshot } from './layer-files.ts';
import { isContent, newName, plainRoot } from './layer-names.ts';

/** Makes the layers that volumes begin with: each once, however many ask for it at the same time in this process. */
export class LayerMaker {
  readonly #layers: LayerPort;
  readonly #files: LayerFiles;
  readonly #content: ContentStore;
  readonly #making = new Map<string, Promise<LayerSnapshot>>();

  constructor(layers: LayerPort, files: LayerFiles, content: ContentStore) {
    this.#layers = layers;
    this.#files = files;
    this.#content = content;
  }

  /** The layer without content. */
  async empty(): Promise<LayerSnapshot> {
    return this.#once('base', 'empty', async (layer) => {
      const sums = [await this.#layers.makeEmpty(layer)];
      return { sums, root: plainRoot, entries: 1, bytes: 0, addedBytes: 0 };
    });
  }

  /** A snapshot of the content store as one layer, for all volumes that begin with it. */
  async based(snapshotId: string, signal?: AbortSignal): Promise<LayerSnapshot> {
    return this.#once('base', snapshotId, async (layer) => {
      await using read = await this.#content.readTar(snapshotId, signal);
      const { ref, root, tar } = read;
      const sums = [await this.#layers.fill(layer, tar, signal)];
      throwIfCancelled(signal);
      const { entries, bytes } = ref;
      return { sums, root, entries, bytes, addedBytes: bytes };
    });
  }

  /** One layer with what a deep stack shows. */
  async flattened({ id, layers, root }: LayerSnapshot, signal?: AbortSignal): Promise<LayerSnapshot> {
    return this.#once('flat', id, async (layer) => {
      const { digest, ...size } = await this.#layers.flatten(layer, layers, signal);
      return { sums: [digest], root, ...size, addedBytes: size.bytes };
    });
  }

  async #once(
    what: 'base' | 'flat',
    of: string,
    make: (layer: string) => Promise<Omit<LayerSnapshot, 'id' | 'digest' | 'layers'>>,
  ): Promise<LayerSnapshot> {
    const equal = await this.#files.findEqual(what, of);
    const known = equal === undefined ? undefined : await this.#files.findSnapshot(equal);
    if (known !== undefined) return known;
    const key = `${what}-${of}`;
    const making = this.#making.get(key) ?? this.#make(what, of, make).finally(() => this.#making.delete(key));
    this.#making.set(key, making);
    return making;
  }

  async #make(
    what: 'base' | 'flat',
    of: string,
    make: (layer: string) => Promise<Omit<LayerSnapshot, 'id' | 'digest' | 'layers'>>,
  ): Promise<LayerSnapshot> {
    const layer = newName();
    await this.#files.marks.begin([layer]);
    const snapshot = await this.#files.saveSnapshot({ layers: [layer], ...(await make(layer)) });
    await this.#files.saveEqual(what, of, snapshot.id);
    if (isContent(of)) await this.#files.saveEqual('content', snapshot.id, of);
    await this.#files.marks.done([layer]);
    return snapshot;
  }
}
