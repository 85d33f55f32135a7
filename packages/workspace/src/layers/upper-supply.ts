import type { LayerPort, LayerRoot } from '@opencode-tools/core';
import type { LayerFiles, LayerSnapshot } from './layer-files.ts';
import { newName } from './layer-names.ts';

const sparesAtOnce = 16;
const sparesLeft = 4;

/** Gives out uppers for new volumes, a number of which are made ahead. */
export class UpperSupply {
  readonly #layers: LayerPort;
  readonly #files: LayerFiles;
  readonly #later: (work: Promise<unknown>) => void;
  readonly #adding = new Map<string, Promise<void>>();

  constructor(layers: LayerPort, files: LayerFiles, later: (work: Promise<unknown>) => void) {
    this.#layers = layers;
    this.#files = files;
    this.#later = later;
  }

  /** Makes the first ones of a kind. */
  async ready(root: LayerRoot): Promise<void> {
    if (!(await this.#files.spares.has(groupOf(root)))) await this.#addSpares(groupOf(root), root);
  }

  /** A new upper; it stays noted as begun until its volume stands. */
  async take(root: LayerRoot, { id: on, layers: [like] }: Pick<LayerSnapshot, 'id' | 'layers'>): Promise<string> {
    const upper = root.attributes === undefined ? await this.#spare(root) : await this.#make(root, like);
    await this.#files.saveUpper(upper, { on, root, last: null });
    return upper;
  }

  async #spare(root: LayerRoot): Promise<string> {
    const group = groupOf(root);
    let spare = await this.#files.spares.take(group);
    if (spare.name === undefined) {
      await this.#addSpares(group, root);
      spare = await this.#files.spares.take(group);
    } else if (spare.left < sparesLeft) this.#later(this.#addSpares(group, root));
    return spare.name ?? (await this.#make(root));
  }

  async #make(root: LayerRoot, like?: string): Promise<string> {
    const name = newName();
    await this.#files.marks.begin([name]);
    await this.#layers.prepare([{ name, root, like }]);
    return name;
  }

  /** Many are made at the cost of one; of calls at once one makes them for all. */
  async #addSpares(group: string, root: LayerRoot): Promise<void> {
    const adding = this.#adding.get(group) ?? this.#addThem(group, root).finally(() => this.#adding.delete(group));
    this.#adding.set(group, adding);
    await adding;
  }

  async #addThem(group: string, root: LayerRoot): Promise<void> {
    const names = Array.from({ length: sparesAtOnce }, newName);
    await this.#files.marks.begin(names);
    await this.#layers.prepare(names.map((name) => ({ name, root })));
    await this.#files.spares.add(group, names);
    await this.#files.marks.done(names);
  }
}

function groupOf({ mode, uid, gid }: LayerRoot): string {
  return `${mode.toString(8)}-${uid}-${gid}`;
}
