import type { LayerPort } from '@opencode-tools/core';
import type { ContentStore, ContentTar } from '../content-store-contract.ts';
import { throwIfCancelled } from '../failures.ts';
import { SharedWork } from '../shared-work.ts';
import type { LayerFiles, LayerSnapshot } from './layer-files.ts';
import { isContent, newName, plainRoot } from './layer-names.ts';
import type { PackedLayers } from './packed-layers.ts';

type MakeLayer = (layer: string, signal: AbortSignal) => Promise<Omit<LayerSnapshot, 'id' | 'digest' | 'layers'>>;

/** Makes the layers that volumes begin with: each once, however many ask for it at the same time in this process. */
export class LayerMaker {
  readonly #layers: LayerPort;
  readonly #files: LayerFiles;
  readonly #content: ContentStore;
  readonly #packed: PackedLayers;
  readonly #making = new SharedWork<LayerSnapshot>();

  constructor(layers: LayerPort, files: LayerFiles, content: ContentStore, packed: PackedLayers) {
    this.#layers = layers;
    this.#files = files;
    this.#content = content;
    this.#packed = packed;
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
    const fill = async (layer: string, given: AbortSignal) => {
      // What it is filled with is looked for while the engine gets ready to take it.
      const opening = this.#content.readTar(snapshotId, given);
      try {
        const sums = [await this.#layers.fill(layer, tarOf(opening), given)];
        throwIfCancelled(given);
        const { ref, root } = await opening;
        const { entries, bytes } = ref;
        return { sums, root, entries, bytes, addedBytes: bytes };
      } finally {
        await (await opening.catch(() => undefined))?.[Symbol.asyncDispose]();
      }
    };
    return this.#once('base', snapshotId, fill, signal);
  }

  /** One layer with what a deep stack shows. */
  async flattened({ id, layers, root }: LayerSnapshot, signal?: AbortSignal): Promise<LayerSnapshot> {
    const flatten = async (layer: string, given: AbortSignal) => {
      await this.#packed.ready(layers);
      const { digest, ...size } = await this.#layers.flatten(layer, layers, given);
      return { sums: [digest], root, ...size, addedBytes: size.bytes };
    };
    return this.#once('flat', id, flatten, signal);
  }

  async #once(what: 'base' | 'flat', of: string, make: MakeLayer, signal?: AbortSignal): Promise<LayerSnapshot> {
    const equal = await this.#files.findEqual(what, of);
    const known = equal === undefined ? undefined : await this.#files.findSnapshot(equal);
    if (known !== undefined) return known;
    return this.#making.join(`${what}-${of}`, async (given) => this.#make(what, of, make, given), signal);
  }

  async #make(what: 'base' | 'flat', of: string, make: MakeLayer, signal: AbortSignal): Promise<LayerSnapshot> {
    const layer = newName();
    await this.#files.marks.begin([layer]);
    const snapshot = await this.#files.saveSnapshot({ layers: [layer], ...(await make(layer, signal)) });
    await this.#files.saveEqual(what, of, snapshot.id);
    if (isContent(of)) await this.#files.saveEqual('content', snapshot.id, of);
    await this.#files.marks.done([layer]);
    return snapshot;
  }
}

async function* tarOf(opening: Promise<ContentTar>): AsyncGenerator<Uint8Array> {
  yield* (await opening).tar;
}
