import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { namesIn } from '../store-files.ts';
import type { LayerMarks } from './layer-marks.ts';

/** Uppers that were made ahead: a file for each, named after the kind of upper that it is. */
export class LayerSpares {
  readonly #directory: string;
  readonly #marks: LayerMarks;
  readonly #open: () => Promise<void>;

  constructor(directory: string, marks: LayerMarks, open: () => Promise<void>) {
    this.#directory = directory;
    this.#marks = marks;
    this.#open = open;
  }

  async add(group: string, names: readonly string[]): Promise<void> {
    await this.#open();
    for (const name of names) await writeFile(this.#path(`${group}.${name}`), '', { mode: 0o600 });
  }

  async has(group: string): Promise<boolean> {
    return (await this.#of(group)).length > 0;
  }

  /** Takes one, noted as begun; of several processes that want it exactly one gets it. */
  async take(group: string): Promise<{ readonly name: string | undefined; readonly left: number }> {
    const spares = await this.#of(group);
    for (const [index, spare] of spares.entries()) {
      const name = await this.#takeOne(spare);
      if (name !== undefined) return { name, left: spares.length - index - 1 };
    }
    return { name: undefined, left: 0 };
  }

  async list(): Promise<readonly string[]> {
    return (await namesIn(this.#directory)).map(nameOf);
  }

  /** Forgets those that are about to be removed. */
  async remove(names: readonly string[]): Promise<void> {
    for (const spare of await namesIn(this.#directory))
      if (names.includes(nameOf(spare))) await rm(this.#path(spare), { force: true });
  }

  async #of(group: string): Promise<readonly string[]> {
    return (await namesIn(this.#directory)).filter((name) => name.startsWith(`${group}.`));
  }

  async #takeOne(spare: string): Promise<string | undefined> {
    const name = nameOf(spare);
    if (!(await this.#marks.claim(name))) return undefined;
    if ((await namesIn(this.#directory)).includes(spare)) {
      await rm(this.#path(spare), { force: true });
      return name;
    }
    // Another took it, and is done with it.
    await this.#marks.done([name]);
    return undefined;
  }

  #path(spare: string): string {
    return join(this.#directory, spare);
  }
}

function nameOf(spare: string): string {
  return spare.slice(spare.indexOf('.') + 1);
}
