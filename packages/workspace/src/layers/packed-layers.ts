import { setTimeout } from 'node:timers/promises';
import type { LayerPort } from '@opencode-tools/core';
import { SharedWork } from '../shared-work.ts';
import type { LayerFiles } from './layer-files.ts';

/** The verb that froze a tree has answered by then, and its sandbox goes on. */
const waitMs = 100;

/** Layers that were left packed: each is unpacked a little later, or at once when a stack needs it. */
export class PackedLayers {
  readonly #layers: LayerPort;
  readonly #files: LayerFiles;
  readonly #later: (work: Promise<unknown>) => void;
  readonly #unpacking = new SharedWork<void>();
  readonly #awaited = new Set<Promise<void>>();
  #hurry = new AbortController();

  constructor(layers: LayerPort, files: LayerFiles, later: (work: Promise<unknown>) => void) {
    this.#layers = layers;
    this.#files = files;
    this.#later = later;
  }

  /** Unpacks a layer of this process in the background; until then it is under way. */
  soon(layer: string): void {
    const done = this.#afterwards(layer);
    this.#awaited.add(done);
    this.#later(done.finally(() => this.#awaited.delete(done)));
  }

  /** Has layers fit for a stack, whoever packed them. */
  async ready(layers: readonly string[]): Promise<void> {
    const packed = new Set(await this.#files.listPacked());
    const left = layers.filter((layer) => packed.has(layer));
    await Promise.all(left.map(async (layer) => this.#unpacking.join(layer, async () => this.#unpack(layer))));
  }

  /** Does now what was to be done soon, and waits for it. */
  async settle(): Promise<void> {
    this.#hurry.abort();
    this.#hurry = new AbortController();
    await Promise.allSettled(this.#awaited);
  }

  async #afterwards(layer: string): Promise<void> {
    try {
      await setTimeout(waitMs, undefined, { signal: this.#hurry.signal }).catch(() => undefined);
      await this.ready([layer]);
    } finally {
      await this.#files.marks.done([layer]);
    }
  }

  async #unpack(layer: string): Promise<void> {
    await this.#layers.unpack(layer);
    await this.#files.removePacked(layer);
  }
}
