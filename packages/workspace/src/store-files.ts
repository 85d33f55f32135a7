import { randomBytes } from 'node:crypto';
import { kill } from 'node:process';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from './failures.ts';

/** Temporary things of a process that is gone are removed once they are this old (its clock may be another host's). */
const abandonedAfterMs = 60 * 60 * 1000;

/** Where things are in a store's directory. */
export interface StoreLayout {
  readonly root: string;
  readonly packs: string;
  readonly snapshots: string;
  /** Which snapshot a commit was seeded as, by what the seed was made of. */
  readonly seeds: string;
  /** What is known of changes to directories of the user, by operation. */
  readonly works: string;
  readonly statCaches: string;
  /** What directories were before a command in the background, by operation. */
  readonly notes: string;
  /** An empty file per pack that is about to be removed: what is in it counts as not stored. */
  readonly condemned: string;
  /** Manifests on their way out. */
  readonly leaving: string;
  /** What runs beside a process: see `AttributeProgram`. */
  readonly programs: string;
  readonly temporary: string;
}

export function layoutOf(root: string): StoreLayout {
  return {
    root,
    packs: join(root, 'packs'),
    snapshots: join(root, 'snapshots'),
    seeds: join(root, 'seeds'),
    works: join(root, 'works'),
    statCaches: join(root, 'stat-caches'),
    notes: join(root, 'notes'),
    condemned: join(root, 'condemned'),
    leaving: join(root, 'leaving'),
    programs: join(root, 'programs'),
    temporary: join(root, 'tmp'),
  };
}

/** Makes the directories of a store, readable by their owner only. */
export async function createLayout(layout: StoreLayout): Promise<void> {
  for (const directory of Object.values(layout) as string[]) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  }
}

/** A name that no other process makes, and that tells which process made it. */
export function temporaryPath(layout: StoreLayout, kind: string): string {
  return join(layout.temporary, `${kind}-${process.pid}-${randomBytes(9).toString('hex')}`);
}

/** Moves a finished temporary file to its name, so that after a crash it is whole or absent. */
export async function publish(temporary: string, final: string): Promise<void> {
  await rename(temporary, final);
  await syncDirectory(join(final, '..'));
}

/** Writes a whole file durably: temporary file, flush, rename, flush of the directory. */
export async function writeDurably(layout: StoreLayout, final: string, parts: readonly Uint8Array[]): Promise<void> {
  const temporary = await writeFlushed(layout, parts);
  try {
    await publish(temporary, final);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Writes a temporary file that is durable before `publish` gives it its name. @returns its path */
export async function writeFlushed(layout: StoreLayout, parts: readonly Uint8Array[]): Promise<string> {
  const temporary = temporaryPath(layout, 'file');
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writev([...parts]);
      await file.sync();
    } finally {
      await file.close();
    }
    return temporary;
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/**
 * Removes what processes that died left in the temporary directory.
 *
 * @param olderThanMs only what was last changed longer ago; one hour by default
 * @returns the number of things removed
 */
export async function removeAbandoned(layout: StoreLayout, olderThanMs = abandonedAfterMs): Promise<number> {
  let removed = 0;
  for (const name of await readdir(layout.temporary)) {
    const pid = Number(name.split('-')[1]);
    if (!Number.isInteger(pid) || pid <= 0 || isAlive(pid)) continue;
    const path = join(layout.temporary, name);
    const facts = await stat(path).catch(() => undefined);
    if (facts === undefined || Date.now() - facts.mtimeMs < olderThanMs) continue;
    await rm(path, { recursive: true, force: true });
    removed += 1;
  }
  return removed;
}

/** Whether a process of this host has the number; one that another user owns counts, too. */
export function isAlive(pid: number): boolean {
  try {
    kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** What is in a directory, sorted; nothing in one that is not there. */
export async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return (await readdir(directory)).toSorted();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}
