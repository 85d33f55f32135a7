import { mkdir, rm } from 'node:fs/promises';
import { type SeedRequest, type SnapshotRef, allEnded } from '@opencode-tools/core';
import type { AttributeProgram } from './attributes/attribute-program.ts';
import { BlobReader } from './blob-reader.ts';
import { toBytePath } from './byte-path.ts';
import { type HostPlaces, checkSource } from './check-directory.ts';
import type { ContentStoreOptions } from './content-store-contract.ts';
import { freezeSeed } from './freeze-seed.ts';
import { restoreTree } from './restore-directory.ts';
import { saveDirectory, saveTree } from './save-tree.ts';
import { type GitSeed, planGitSeed, readSeed, seedFromGit } from './seed-git.ts';
import { beginRepository } from './seed-repository.ts';
import { emptyStatCache } from './stat-cache.ts';
import { temporaryPath } from './store-files.ts';
import type { StoreParts } from './store-parts.ts';

interface Seeding {
  readonly parts: StoreParts;
  readonly options: Pick<ContentStoreOptions, 'git' | 'logger' | 'environment'>;
  readonly places: HostPlaces;
  readonly attributes: AttributeProgram;
  /** Called when the source is about to be read, so that a new snapshot is likely. */
  readonly onReading?: (() => void) | undefined;
}

/** Makes the first snapshot of a workspace. Its caller has noted that the store is used. See `WorkspaceStore.seed`. */
export async function seedContent(seeding: Seeding, request: SeedRequest): Promise<SnapshotRef> {
  const { source, signal } = request;
  if (source.kind === 'directory') return seedDirectory(seeding, request, source.path);
  await checkSource(source.repository, seeding.places);
  const seed = await planGitSeed(seeding.options.git, source, request.pin);
  await checkSource(seed.topDirectory, seeding.places);
  // Hooks see only what is accepted; all else goes on beside the look at uncommitted changes, and is given up for them.
  if (request.prepare !== undefined) await seed.accepted;
  const refused = new AbortController();
  seed.accepted.catch(() => refused.abort());
  const either = AbortSignal.any([refused.signal, ...(signal === undefined ? [] : [signal])]);
  return (await allEnded(seed.accepted, seedRepository(seeding, { ...request, signal: either }, seed)))[1];
}

async function seedRepository(
  { parts, options: { git, logger }, onReading }: Seeding,
  { owner, prepare, signal }: SeedRequest,
  seed: GitSeed,
): Promise<SnapshotRef> {
  return parts.seeds.once(prepare === undefined ? seed.key : null, owner, async () => {
    onReading?.();
    return inTemporary(parts, async (directory) => {
      const beginning = beginRepository(seed, directory);
      const [paths, begun] = await allEnded(readSeed(seed), beginning);
      if (paths !== null && prepare === undefined) {
        const options = { owner, logger, signal };
        return saveTree(parts, (store) => freezeSeed(git, { ...seed, paths }, begun, store, options), signal);
      }
      await seedFromGit(git, seed, begun, signal);
      await prepare?.(directory);
      return saveDirectory(parts, directory, { owner, useStatCache: false, logger, signal });
    });
  });
}

async function seedDirectory(
  { parts, options: { logger, environment }, places, attributes }: Seeding,
  { prepare, owner, signal }: SeedRequest,
  source: string,
): Promise<SnapshotRef> {
  const path = await checkSource(source, places);
  const options = { logger, attributes, signal };
  if (prepare === undefined) return saveDirectory(parts, path, { ...options, owner, useStatCache: true });
  return inTemporary(parts, async (directory) => {
    const { id } = await saveDirectory(parts, path, { ...options, useStatCache: true });
    const copy = await parts.snapshots.load(id);
    await mkdir(directory, { mode: 0o700 });
    using blobs = new BlobReader(parts.index, id);
    await restoreTree(toBytePath(directory), copy.entries, blobs, { cache: emptyStatCache, environment, signal });
    await prepare(directory);
    return await saveDirectory(parts, directory, { ...options, owner, useStatCache: false });
  });
}

async function inTemporary<T>({ layout }: StoreParts, work: (directory: string) => Promise<T>): Promise<T> {
  const directory = temporaryPath(layout, 'seed');
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
