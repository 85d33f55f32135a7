import { hash } from 'node:crypto';
import { readFile, readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { SnapshotRef } from '@opencode-tools/core';
import type { SnapshotFiles } from './snapshot-files.ts';
import { type StoreLayout, writeDurably } from './store-files.ts';

const rememberedMs = 7 * 24 * 60 * 60_000;

/**
 * Remembers as which snapshot a commit was seeded: a checkout carries the time it was made at, so that a second one would be
 * another tree, of which no sandbox is ready.
 */
export class KnownSeeds {
  readonly #layout: StoreLayout;
  readonly #snapshots: SnapshotFiles;

  constructor(layout: StoreLayout, snapshots: SnapshotFiles) {
    this.#layout = layout;
    this.#snapshots = snapshots;
  }

  /** The snapshot that has the key, made when there is none, or none that can be read. A null key is made each time. */
  async once(key: string | null, owner: Owner, make: () => Promise<SnapshotRef>): Promise<SnapshotRef> {
    if (key === null) return make();
    const path = this.#path(key, owner);
    const found = await this.#find(path);
    if (found !== undefined && (await this.#snapshots.has(found.id))) {
      const now = new Date();
      await utimes(path, now, now).catch(() => undefined);
      return { ...found, addedBytes: 0 };
    }
    const made = await make();
    await writeDurably(this.#layout, path, [Buffer.from(`${made.id}\n${JSON.stringify(made)}\n`)]);
    return made;
  }

  /** Snapshots that a commit was seeded as within the last week. */
  async wanted(): Promise<readonly string[]> {
    const wanted: string[] = [];
    for (const name of await readdir(this.#layout.seeds)) {
      const path = join(this.#layout.seeds, name);
      const used = await stat(path).catch(() => undefined);
      if (used !== undefined && Date.now() - used.mtimeMs < rememberedMs) wanted.push(await idIn(path));
    }
    return wanted;
  }

  /** Forgets commits whose snapshot is gone. */
  async forgetLost(): Promise<void> {
    const present = new Set(await this.#snapshots.list());
    for (const name of await readdir(this.#layout.seeds)) {
      const path = join(this.#layout.seeds, name);
      const id = await idIn(path).catch(() => undefined);
      if (id !== undefined && !present.has(id)) await rm(path, { force: true });
    }
  }

  /** What the file of a seed says, while its manifest is there: reading that takes longer the more files there are. */
  async #find(path: string): Promise<SnapshotRef | undefined> {
    const text = await readFile(path, 'utf8').catch(() => undefined);
    const [id = '', told] = text?.split('\n') ?? [];
    if (id === '') return undefined;
    if (told === undefined) return (await this.#snapshots.load(id).catch(() => undefined))?.ref;
    return (await this.#snapshots.isWhole(id)) ? (JSON.parse(told) as SnapshotRef) : undefined;
  }

  #path(key: string, { uid, gid }: Owner): string {
    return join(this.#layout.seeds, hash('sha256', `${key} ${uid}:${gid}`));
  }
}

async function idIn(path: string): Promise<string> {
  return (await readFile(path, 'utf8')).split('\n', 1)[0] ?? '';
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}
