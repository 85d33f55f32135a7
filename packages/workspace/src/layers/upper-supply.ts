import type { LayerPort, LayerRoot } from '@opencode-tools/core';
import type { LayerFiles } from './layer-files.ts';
import { newName } from './layer-names.ts';

const sparesAtOnce = 16;
const sparesLeft = 4;

/** Gives out uppers for new volumes, a number of which are made ahead. */
export class UpperSupply {
  readonly #layers: LayerPort;
  readonly #files: LayerFiles;
  readonly #later: (work: Promise<unknown>) => void;

  constructor(layers: LayerPort, files: LayerFiles, later: (work: Promise<unknown>) => void) {
    this.#layers = layers;
    this.#files = files;
    this.#later = later;
  }

  /** A new upper; it stays noted as begun until its volume stands. */
  async take(root: LayerRoot, on: string): Promise<string> {
    const group = `${root.mode.toString(8)}-${root.uid}-${root.gid}`;
    const { name, left } = await this.#files.takeSpare(group);
    if (left < sparesLeft) this.#later(this.#addSpares(group, root));
    const upper = name ?? newName();
    await this.#files.begin([upper]);
    if (name === undefined) await this.#layers.prepare([{ name: upper, root }]);
    await this.#files.saveUpper(upper, { on, root, last: null });
    return upper;
  }

  async #addSpares(group: string, root: LayerRoot): Promise<void> {
    const names = Array.from({ length: sparesAtOnce }, newName);
    await this.#files.begin(names);
    await this.#layers.prepare(names.map((name) => ({ name, root })));
    await this.#files.addSpares(group, names);
    await this.#files.done(names);
  }
}
