import { createHash } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type JsonValue,
  type LayerRoot,
  type LayerSize,
  type LeftOut,
  OpencodeToolsError,
  canonicalJson,
} from '@opencode-tools/core';
import { corrupt, errnoOf } from '../failures.ts';
import { type StoreLayout, layoutOf, namesIn, removeAbandoned, writeDurably } from '../store-files.ts';
import { LayerMarks } from './layer-marks.ts';
import { LayerSpares } from './layer-spares.ts';

/** A frozen tree as layers, the highest first. */
export interface LayerSnapshot {
  readonly id: string;
  readonly digest: string;
  readonly layers: readonly string[];
  /** The digest of each layer. */
  readonly sums: readonly string[];
  readonly root: LayerRoot;
  /** What the tree holds; for a snapshot that does not say `inLayers`, sums over its layers, of which it holds no more. */
  readonly entries: number;
  readonly bytes: number;
  /** Sums over the layers, what lies under a newer version included. */
  readonly inLayers?: LayerSize;
  readonly addedBytes: number;
}

/** What is known of the upper of a volume. */
export interface UpperRecord {
  /** Snapshot that it was stacked on. */
  readonly on: string;
  readonly root: LayerRoot;
  /** The newest archive of it. */
  readonly last: { readonly layer: string; readonly snapshot: string } | null;
}

const idForm = /^lay_[0-9a-f]{40}$/;
const kinds = ['snapshots', 'uppers', 'equals', 'making', 'spares', 'packed', 'place'] as const;
type Kind = (typeof kinds)[number];

/** The snapshot of the content store that is equal to one of layers, and what it does not have after all. */
export interface CopiedOut {
  readonly equal: string;
  readonly leftOut: readonly LeftOut[];
}

/**
 * What this host knows of the layers on the engine: a file per fact, each written whole or not at all. Layers come first, then
 * the file that names them, so that nothing is ever named that is not there.
 */
export class LayerFiles {
  readonly marks: LayerMarks;
  readonly spares: LayerSpares;
  readonly #layout: StoreLayout;
  readonly #root: string;
  #opened: Promise<void> | undefined;

  constructor(directory: string) {
    this.#root = directory;
    this.#layout = layoutOf(directory);
    const open = () => this.#open();
    this.marks = new LayerMarks(directory, open);
    this.spares = new LayerSpares(join(directory, 'spares'), this.marks, open);
  }

  async saveSnapshot(snapshot: Omit<LayerSnapshot, 'id' | 'digest'>): Promise<LayerSnapshot> {
    const digest = digestOf(snapshot);
    const full = { ...snapshot, id: idOf(digest), digest };
    await this.#save('snapshots', full.id, full);
    return full;
  }

  async findSnapshot(id: string): Promise<LayerSnapshot | undefined> {
    if (!idForm.test(id)) return undefined;
    const found = await this.#find<LayerSnapshot>('snapshots', id);
    if (found === undefined) return undefined;
    const digest = digestOf(found);
    if (found.id === id && found.digest === digest && idOf(digest) === id) return found;
    throw corrupt(id, 'its record', 'it is that of another');
  }

  /** Those known snapshots that a snapshot begins with, the highest first. @throws as `getSnapshot` */
  async *beginnings({ layers, sums }: LayerSnapshot): AsyncGenerator<LayerSnapshot> {
    for (let above = 1; above < layers.length; above += 1) {
      const digest = digestOf({ layers: layers.slice(above), sums: sums.slice(above) });
      const found = await this.findSnapshot(idOf(digest));
      if (found !== undefined) yield found;
    }
  }

  /** @throws OpencodeToolsError `OCT_CHECKPOINT_NOT_FOUND`, `OCT_CHECKPOINT_CORRUPT` */
  async getSnapshot(id: string): Promise<LayerSnapshot> {
    const found = await this.findSnapshot(id);
    if (found !== undefined) return found;
    const shown = id.slice(0, 80);
    if (idForm.test(id)) throw corrupt(id, 'its record', 'the file is missing');
    throw new OpencodeToolsError('OCT_CHECKPOINT_NOT_FOUND', `No snapshot ${shown} in this store`, {
      details: { snapshotId: shown },
    });
  }

  async listSnapshots(): Promise<readonly string[]> {
    return this.#list('snapshots');
  }

  async removeSnapshot(id: string): Promise<void> {
    await this.#remove('snapshots', id);
  }

  async saveUpper(upper: string, record: UpperRecord): Promise<void> {
    await this.#save('uppers', upper, record);
  }

  async findUpper(upper: string): Promise<UpperRecord | undefined> {
    return this.#find<UpperRecord>('uppers', upper);
  }

  async listUppers(): Promise<readonly string[]> {
    return this.#list('uppers');
  }

  async removeUpper(upper: string): Promise<void> {
    await this.#remove('uppers', upper);
  }

  /** Notes that a layer has to be unpacked before it is in a stack. */
  async savePacked(layer: string): Promise<void> {
    await this.#save('packed', layer, {});
  }

  async listPacked(): Promise<readonly string[]> {
    return this.#list('packed');
  }

  async removePacked(layer: string): Promise<void> {
    await this.#remove('packed', layer);
  }

  /**
   * Another snapshot of the very same tree: a content snapshot as layers, a deep stack as one layer, layers as content.
   *
   * @param leftOut what the equal one does not have, after all
   */
  async saveEqual(
    what: 'base' | 'flat' | 'content',
    id: string,
    equal: string,
    leftOut: readonly LeftOut[] = [],
  ): Promise<void> {
    await this.#save('equals', `${what}-${id}`, { equal, ...(leftOut.length === 0 ? {} : { leftOut }) });
  }

  /** The equal snapshot of the content store, and what it does not have. */
  async findContent(id: string): Promise<CopiedOut | undefined> {
    const found = await this.#find<{ equal: string; leftOut?: readonly LeftOut[] }>('equals', `content-${id}`);
    return found && { equal: found.equal, leftOut: found.leftOut ?? [] };
  }

  async findEqual(what: 'base' | 'flat' | 'content', id: string): Promise<string | undefined> {
    return (await this.#find<{ equal: string }>('equals', `${what}-${id}`))?.equal;
  }

  async listEquals(): Promise<readonly { readonly name: string; readonly id: string; readonly equal: string }[]> {
    const names = await this.#list('equals');
    const found = await Promise.all(
      names.map(async (name) => ({
        name,
        id: name.slice(name.indexOf('-') + 1),
        equal: (await this.#find<{ equal: string }>('equals', name).catch(() => undefined))?.equal ?? '',
      })),
    );
    return found;
  }

  async removeEqual(name: string): Promise<void> {
    await this.#remove('equals', name);
  }

  /** Which place of layers all this is about, as `LayerPort.identity` tells it. */
  async savePlace(identity: string): Promise<void> {
    await this.#save('place', 'identity', { identity });
  }

  /** Undefined when it was never saved, or not as a whole. */
  async findPlace(): Promise<string | undefined> {
    const found = await this.#find<{ identity: string }>('place', 'identity').catch(() => undefined);
    return found?.identity;
  }

  /** Removes what processes that died left half written. */
  async tidy(): Promise<void> {
    await this.#open();
    await removeAbandoned(this.#layout);
  }

  /** Forgets all layers, as they are gone. */
  async forgetAll(): Promise<void> {
    for (const kind of kinds) for (const name of await this.#list(kind)) await this.#remove(kind, name);
  }

  /** True when nothing was ever made, or all of it is gone. */
  async isUnused(): Promise<boolean> {
    for (const kind of ['snapshots', 'uppers', 'making', 'spares'] as const)
      if ((await this.#list(kind)).length > 0) return false;
    return true;
  }

  async #save(kind: Kind, name: string, value: object): Promise<void> {
    await this.#open();
    const body = canonicalJson(value as JsonValue);
    await writeDurably(this.#layout, this.#path(kind, name), [Buffer.from(`${sha256(body)}\n${body}\n`)]);
  }

  async #find<T>(kind: Kind, name: string): Promise<T | undefined> {
    let text: string;
    try {
      text = await readFile(this.#path(kind, name), 'utf8');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    const [sum, body = ''] = text.split('\n');
    if (sum !== sha256(body)) throw corrupt(name, 'its record', 'its bytes changed');
    return JSON.parse(body) as T;
  }

  async #list(kind: Kind): Promise<readonly string[]> {
    return namesIn(join(this.#root, kind));
  }

  async #remove(kind: Kind, name: string): Promise<void> {
    await rm(this.#path(kind, name), { force: true });
  }

  #path(kind: Kind, name: string): string {
    return join(this.#root, kind, name);
  }

  async #open(): Promise<void> {
    this.#opened ??= (async () => {
      for (const directory of [this.#layout.temporary, ...kinds.map((kind) => join(this.#root, kind))])
        await mkdir(directory, { recursive: true, mode: 0o700 });
    })();
    await this.#opened;
  }
}

/** Over the layers and what is in each, so that a record can be neither changed nor take the place of another. */
function digestOf({ layers, sums = [] }: Pick<LayerSnapshot, 'layers'> & Partial<Pick<LayerSnapshot, 'sums'>>): string {
  return sha256(['layers', ...layers.map((layer, at) => `${layer} ${sums[at] ?? ''}`)].join('\n'));
}

function idOf(digest: string): string {
  return `lay_${digest.slice(0, 40)}`;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
