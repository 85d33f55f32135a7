import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type ByteStream,
  type Collected,
  type GuardedPath,
  type LayerCapability,
  type LayerRoot,
  type Logger,
  type ProvisionRequest,
  type SeedRequest,
  type ShareableDirectory,
  type SnapshotRef,
  type TreeRef,
  type VolumePort,
  type WorkspaceStore,
} from '@opencode-tools/core';
import { BlobIndex } from './blob-index.ts';
import { BlobReader, smallFileBytes } from './blob-reader.ts';
import { toBytePath, toFs } from './byte-path.ts';
import { diffTrees } from './diff-trees.ts';
import type { Environment } from './extract-tar.ts';
import { type HostPlaces, checkShareable, checkSource, realDirectory, refuseOwnHome } from './check-directory.ts';
import { errnoOf, storeFailure, throwIfCancelled } from './failures.ts';
import { type FreezeDirectoryOptions, freezeDirectory } from './freeze-directory.ts';
import { freezeStream } from './freeze-volume.ts';
import type { HostGit } from './git.ts';
import { guardDirectory } from './guard-directory.ts';
import { PackWriter } from './pack-writer.ts';
import { createPacer } from './pacer.ts';
import { restoreTree } from './restore-directory.ts';
import type { DiskNode } from './scan-directory.ts';
import { seedFromGit } from './seed-git.ts';
import { SnapshotFiles } from './snapshot-files.ts';
import { loadStatCache } from './stat-cache.ts';
import { type StoreLayout, createLayout, layoutOf, removeAbandoned, temporaryPath } from './store-files.ts';
import { writeTar } from './tar-stream.ts';
import type { TreeEntry } from './tree-entry.ts';

export interface ContentStoreOptions {
  /** Where the store is; made when first needed. Any number of processes of one host may use it at once. */
  readonly directory: string;
  readonly volumes: VolumePort;
  readonly git: HostGit;
  /** Only PATH is taken, to find the system's tar. */
  readonly environment: Environment;
  readonly logger: Logger;
}

/** Makes the content-addressed workspace store: blobs in packs, a manifest per snapshot. See `WorkspaceStore`. */
export function createContentStore(options: ContentStoreOptions): ContentStore {
  return new FileContentStore(options);
}

/** A content store, which also gives its trees as streams. */
export interface ContentStore extends WorkspaceStore {
  /**
   * Gives a snapshot as a tar stream, checked on the way, and what its top directory is.
   *
   * @throws OpencodeToolsError `OCT_CHECKPOINT_NOT_FOUND`, `OCT_CHECKPOINT_CORRUPT`
   */
  readTar(snapshotId: string, signal?: AbortSignal): Promise<ContentTar>;
}

export interface ContentTar {
  readonly ref: SnapshotRef;
  readonly root: LayerRoot;
  readonly tar: ByteStream;
}

type Collect = (store: {
  readonly layout: StoreLayout;
  readonly index: BlobIndex;
  readonly pack: PackWriter;
}) => Promise<readonly TreeEntry[]>;

/**
 * Writes blobs first, flushed and renamed into place as one pack, then the manifest that names them. A crash between
 * leaves a pack that the next freeze of the same tree uses, and never a snapshot without its content.
 */
class FileContentStore implements ContentStore {
  readonly #options: ContentStoreOptions;
  readonly #layout: StoreLayout;
  readonly #index: BlobIndex;
  readonly #snapshots: SnapshotFiles;
  #opened: Promise<void> | undefined;

  constructor(options: ContentStoreOptions) {
    this.#options = options;
    this.#layout = layoutOf(options.directory);
    this.#index = new BlobIndex(this.#layout.packs, options.logger);
    this.#snapshots = new SnapshotFiles(this.#layout, this.#index);
  }

  checkDirectory(path: string): Promise<ShareableDirectory> {
    return checkShareable(path, this.#places);
  }

  guardDirectory(path: string): Promise<readonly GuardedPath[]> {
    return guardDirectory(this.#options.git.runner, path);
  }

  async seed(request: SeedRequest): Promise<SnapshotRef> {
    const { source, signal } = request;
    throwIfCancelled(signal);
    if (source.kind === 'directory') return this.#seedDirectory(request, source.path);
    await checkSource(source.repository, this.#places);
    return this.#inTemporary(async (directory) => {
      await seedFromGit(this.#options.git, source, directory, signal);
      await request.prepare?.(directory);
      return this.#freezePath(directory, { owner: request.owner, useStatCache: false, signal });
    });
  }

  async freeze(tree: TreeRef, options: { readonly signal?: AbortSignal } = {}): Promise<SnapshotRef> {
    const { signal } = options;
    throwIfCancelled(signal);
    if (tree.kind === 'directory') {
      return this.#freezePath(await realDirectory(tree.path), { useStatCache: true, signal });
    }
    const { volumes, logger } = this.#options;
    return this.#save(
      async (store) => freezeStream(await volumes.readTree(tree.volume, signal), store, { logger, signal }),
      signal,
    );
  }

  async provision(request: ProvisionRequest): Promise<void> {
    const { volume, labels, owner, snapshotId, signal } = request;
    const { volumes } = this.#options;
    throwIfCancelled(signal);
    const snapshot = snapshotId === null ? undefined : await this.#snapshots.load(snapshotId);
    await volumes.remove(volume);
    try {
      await volumes.create({ name: volume, labels, owner });
      if (snapshot === undefined) return;
      using blobs = new BlobReader(this.#index, snapshot.ref.id);
      await volumes.writeTree(volume, writeTar(snapshot.entries, blobs, { signal }), signal);
      throwIfCancelled(signal);
    } catch (error) {
      await volumes.remove(volume).catch(() => undefined);
      throwIfCancelled(signal);
      throw error;
    }
  }

  async restoreDirectory(
    directory: string,
    snapshotId: string,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<{ readonly written: number; readonly removed: number }> {
    const { signal } = options;
    const { entries, ref } = await this.#snapshots.load(snapshotId);
    const made = await mkdir(directory).then(
      () => true,
      () => false,
    );
    const path = await realDirectory(directory);
    this.#refuseOwnHome(path);
    using blobs = new BlobReader(this.#index, ref.id);
    try {
      return await this.#restore(path, entries, blobs, signal);
    } catch (error) {
      if (made) await rm(path, { recursive: true, force: true });
      throw errnoOf(error) === undefined ? error : storeFailure(path, error);
    }
  }

  async diff(fromId: string, toId: string) {
    const [from, to] = [await this.#snapshots.load(fromId), await this.#snapshots.load(toId)];
    return diffTrees(from.entries, to.entries);
  }

  async verify(snapshotId: string): Promise<SnapshotRef> {
    const { ref, entries } = await this.#snapshots.load(snapshotId);
    const pacer = createPacer(undefined);
    using blobs = new BlobReader(this.#index, snapshotId);
    for (const entry of entries) {
      if (entry.type !== 'file') continue;
      if (entry.size <= smallFileBytes) blobs.read(entry);
      else for (const _ of blobs.chunks(entry)) if (pacer.due()) await pacer.rest();
      if (pacer.due()) await pacer.rest();
    }
    return ref;
  }

  has(snapshotId: string): Promise<boolean> {
    return this.#snapshots.has(snapshotId);
  }

  async readTar(snapshotId: string, signal?: AbortSignal): Promise<ContentTar> {
    const { ref, entries } = await this.#snapshots.load(snapshotId);
    const top = entries.find(({ path }) => path === '');
    const root = { mode: top?.mode ?? 0o755, uid: top?.uid ?? 0, gid: top?.gid ?? 0 };
    const index = this.#index;
    async function* tar(): AsyncGenerator<Buffer> {
      using blobs = new BlobReader(index, ref.id);
      yield* writeTar(entries, blobs, { signal });
    }
    return { ref, root, tar: tar() };
  }

  async layering(): Promise<LayerCapability> {
    return { able: false, reason: 'the content store keeps every tree as files' };
  }

  async reserve(): Promise<null> {
    return null;
  }

  /** Content is shared by checkpoints in ways that only a scan of all of them shows: nothing is removed yet. */
  async collect(): Promise<Collected> {
    return { snapshots: 0, layers: 0, bytes: 0, unknown: [] };
  }

  async settle(): Promise<void> {
    await this.#opened;
  }

  async #seedDirectory(request: SeedRequest, source: string): Promise<SnapshotRef> {
    const { prepare, owner, signal } = request;
    const path = await checkSource(source, this.#places);
    if (prepare === undefined) return this.#freezePath(path, { owner, useStatCache: true, signal });
    return this.#inTemporary(async (directory) => {
      const copy = await this.#snapshots.load((await this.#freezePath(path, { useStatCache: true, signal })).id);
      await mkdir(directory, { mode: 0o700 });
      using blobs = new BlobReader(this.#index, copy.ref.id);
      await this.#restore(directory, copy.entries, blobs, signal);
      await prepare(directory);
      return await this.#freezePath(directory, { owner, useStatCache: false, signal });
    });
  }

  async #restore(path: string, entries: readonly TreeEntry[], blobs: BlobReader, signal: AbortSignal | undefined) {
    const root = toBytePath(path);
    const cache = await loadStatCache(this.#layout, root);
    return restoreTree(root, entries, blobs, {
      digestOf: async (node) => cache.find(node) ?? digestFile(path, node),
      environment: this.#options.environment,
      signal,
    });
  }

  #freezePath(path: string, options: Omit<FreezeDirectoryOptions, 'logger'>): Promise<SnapshotRef> {
    const { logger } = this.#options;
    return this.#save((store) => freezeDirectory(toBytePath(path), store, { ...options, logger }), options.signal);
  }

  async #save(collect: Collect, signal: AbortSignal | undefined): Promise<SnapshotRef> {
    const pack = new PackWriter(this.#layout);
    try {
      await this.#open();
      await this.#index.refresh();
      const entries = await collect({ layout: this.#layout, index: this.#index, pack });
      return await this.#snapshots.save(entries, pack);
    } catch (error) {
      await pack.discard();
      throwIfCancelled(signal);
      throw storeFailure(this.#options.directory, error);
    }
  }

  async #inTemporary<T>(work: (directory: string) => Promise<T>): Promise<T> {
    await this.#open();
    const directory = temporaryPath(this.#layout, 'seed');
    try {
      return await work(directory);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  async #open(): Promise<void> {
    this.#opened ??= createLayout(this.#layout)
      .then(() => removeAbandoned(this.#layout))
      .then(() => undefined);
    try {
      await this.#opened;
    } catch (error) {
      this.#opened = undefined;
      throw storeFailure(this.#options.directory, error);
    }
  }

  get #places(): HostPlaces {
    return { store: this.#options.directory, userHome: this.#options.environment['HOME'] };
  }

  #refuseOwnHome(path: string): void {
    refuseOwnHome(path, this.#options.directory);
  }
}

async function digestFile(root: string, node: DiskNode): Promise<string> {
  const sum = createHash('sha256');
  for await (const chunk of createReadStream(toFs(join(toBytePath(root), node.path)))) sum.update(chunk as Buffer);
  return sum.digest('hex');
}
