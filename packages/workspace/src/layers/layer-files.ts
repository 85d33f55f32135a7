import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type JsonValue, type LayerRoot, OpencodeToolsError, canonicalJson } from '@opencode-tools/core';
import { corrupt, errnoOf } from '../failures.ts';
import { type StoreLayout, layoutOf, writeDurably } from '../store-files.ts';

/** A frozen tree as layers, the highest first. */
export interface LayerSnapshot {
  readonly id: string;
  readonly digest: string;
  readonly layers: readonly string[];
  readonly root: LayerRoot;
  /** Sums over the layers: what lies under a newer version is counted, too. */
  readonly entries: number;
  readonly bytes: number;
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
const kinds = ['snapshots', 'uppers', 'equals', 'digests', 'making', 'spares'] as const;
type Kind = (typeof kinds)[number];

/**
 * What this host knows of the layers on the engine: a file per fact, each written whole or not at all. Layers come first, then
 * the file that names them, so that nothing is ever named that is not there.
 */
export class LayerFiles {
  readonly #layout: StoreLayout;
  readonly #root: string;
  #opened: Promise<void> | undefined;

  constructor(directory: string) {
    this.#root = directory;
    this.#layout = layoutOf(directory);
  }

  async saveSnapshot(snapshot: Omit<LayerSnapshot, 'id' | 'digest'>): Promise<LayerSnapshot> {
    const digest = sha256(['layers', ...snapshot.layers].join('\n'));
    const full = { id: `lay_${digest.slice(0, 40)}`, digest, ...snapshot };
    await this.#save('snapshots', full.id, full);
    return full;
  }

  async findSnapshot(id: string): Promise<LayerSnapshot | undefined> {
    if (!idForm.test(id)) return undefined;
    return this.#find<LayerSnapshot>('snapshots', id);
  }

  /** @throws OpencodeToolsError `OCT_CHECKPOINT_NOT_FOUND`, `OCT_CHECKPOINT_CORRUPT` */
  async getSnapshot(id: string): Promise<LayerSnapshot> {
    const found = await this.findSnapshot(id);
    if (found !== undefined) return found;
    const shown = id.slice(0, 80);
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

  /** Another snapshot of the very same tree: a content snapshot as layers, a deep stack as one layer, layers as content. */
  async saveEqual(what: 'base' | 'flat' | 'content', id: string, equal: string): Promise<void> {
    await this.#save('equals', `${what}-${id}`, { equal });
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

  async saveDigest(layer: string, digest: string): Promise<void> {
    await this.#save('digests', layer, { digest });
  }

  async findDigest(layer: string): Promise<string | undefined> {
    return (await this.#find<{ digest: string }>('digests', layer))?.digest;
  }

  async removeDigest(layer: string): Promise<void> {
    await this.#remove('digests', layer);
  }

  /** Notes that this process is about to make layers, so that they are somebody's when it dies. */
  async begin(names: readonly string[]): Promise<void> {
    await this.#open();
    for (const name of names) await writeFile(this.#path('making', name), String(process.pid), { mode: 0o600 });
  }

  async done(names: readonly string[]): Promise<void> {
    for (const name of names) await this.#remove('making', name);
  }

  /** Layers that were begun and not done, and by which process. */
  async listBegun(): Promise<readonly { readonly name: string; readonly pid: number }[]> {
    const names = await this.#list('making');
    return Promise.all(
      names.map(async (name) => ({
        name,
        pid: Number(await readFile(this.#path('making', name), 'utf8').catch(() => '0')),
      })),
    );
  }

  async addSpares(group: string, names: readonly string[]): Promise<void> {
    await this.#open();
    for (const name of names) await writeFile(this.#path('spares', `${group}.${name}`), '', { mode: 0o600 });
  }

  /** Takes one spare upper; of several processes that want it exactly one gets it. */
  async takeSpare(group: string): Promise<{ readonly name: string | undefined; readonly left: number }> {
    const spares = (await this.#list('spares')).filter((name) => name.startsWith(`${group}.`));
    for (const [index, spare] of spares.entries()) {
      try {
        await unlink(this.#path('spares', spare));
        return { name: spare.slice(group.length + 1), left: spares.length - index - 1 };
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error;
      }
    }
    return { name: undefined, left: 0 };
  }

  async listSpares(): Promise<readonly string[]> {
    return (await this.#list('spares')).map((name) => name.slice(name.indexOf('.') + 1));
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
    try {
      return (await readdir(join(this.#root, kind))).toSorted();
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw error;
    }
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

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
