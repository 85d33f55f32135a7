import type { LayerPort, SnapshotRef } from '@opencode-tools/core';
import type { ContentStore, ContentTar } from '../content-store-contract.ts';
import { throwIfCancelled } from '../failures.ts';
import { SharedWork } from '../shared-work.ts';
import type { LayerFiles, LayerSnapshot } from './layer-files.ts';
import { isContent, newName, plainRoot } from './layer-names.ts';
import type { PackedLayers } from './packed-layers.ts';

type MakeLayer = (
  layer: string,
  signal: AbortSignal,
) => Promise<Omit<LayerSnapshot, 'id' | 'digest' | 'layers' | 'inLayers'>>;

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
    // What it is filled with is looked for while the engine gets ready to take it.
    const fill: MakeLayer = async (layer, given) => this.#fill(layer, this.#content.readTar(snapshotId, given), given);
    return this.#once('base', snapshotId, fill, signal);
  }

  /**
   * As `based` for a snapshot that is still being made: meanwhile the engine gets ready. Does nothing when there will be none. The signal
   * gives up what nobody else waits for.
   */
  async basedOnComing(coming: Promise<SnapshotRef>, signal: AbortSignal): Promise<void> {
    const layer = newName();
    await this.#files.marks.begin([layer]);
    const over = new AbortController();
    let isTaken = false;
    const giveUp = (): void => {
      if (!isTaken) over.abort();
    };
    signal.addEventListener('abort', giveUp, { once: true });
    const opening = coming.then(async ({ id }) => this.#content.readTar(id, over.signal));
    const filled = this.#fill(layer, opening, over.signal);
    filled.catch(() => undefined);
    const take: MakeLayer = async (_layer, given) => {
      isTaken = true;
      given.addEventListener('abort', () => over.abort(given.reason), { once: true });
      return filled;
    };
    try {
      const snapshot = await coming.catch(() => undefined);
      if (snapshot !== undefined) await this.#once('base', snapshot.id, take, signal, layer);
    } finally {
      signal.removeEventListener('abort', giveUp);
      giveUp();
      if (!isTaken) await filled.catch(() => undefined);
    }
  }

  async #fill(layer: string, opening: Promise<ContentTar>, signal: AbortSignal): ReturnType<MakeLayer> {
    // It may fail before anybody reads it.
    opening.catch(() => undefined);
    try {
      const { digest, ...named } = await this.#layers.fill(layer, tarOf(opening), signal);
      throwIfCancelled(signal);
      const { ref, root } = await opening;
      const { entries, bytes } = ref;
      return { sums: [digest], root: { ...root, ...named }, entries, bytes, addedBytes: bytes };
    } finally {
      await (await opening.catch(() => undefined))?.[Symbol.asyncDispose]();
    }
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

  /** @param layer the name of what is under way already; a new one by default */
  async #once(
    what: 'base' | 'flat',
    of: string,
    make: MakeLayer,
    signal?: AbortSignal,
    layer?: string,
  ): Promise<LayerSnapshot> {
    const equal = await this.#files.findEqual(what, of);
    const known = equal === undefined ? undefined : await this.#files.findSnapshot(equal);
    if (known !== undefined) return known;
    return this.#making.join(`${what}-${of}`, async (given) => this.#make(what, of, make, given, layer), signal);
  }

  async #make(
    what: 'base' | 'flat',
    of: string,
    make: MakeLayer,
    signal: AbortSignal,
    layer = newName(),
  ): Promise<LayerSnapshot> {
    await this.#files.marks.begin([layer]);
    const made = await make(layer, signal);
    const inLayers = { entries: made.entries, bytes: made.bytes };
    const snapshot = await this.#files.saveSnapshot({ layers: [layer], ...made, inLayers });
    await this.#files.saveEqual(what, of, snapshot.id);
    if (isContent(of)) await this.#files.saveEqual('content', snapshot.id, of);
    await this.#files.marks.done([layer]);
    return snapshot;
  }
}

async function* tarOf(opening: Promise<ContentTar>): AsyncGenerator<Uint8Array> {
  yield* (await opening).tar;
}
