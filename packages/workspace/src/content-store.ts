import { mkdir, realpath, rm } from 'node:fs/promises';
import {
  type AlreadyRead,
  type ByteStream,
  type Collected,
  type FreezeOptions,
  type GroupUsage,
  type GuardedPath,
  type MissingTrees,
  type LayerCapability,
  type ProvisionRequest,
  type SeedRequest,
  type ShareableDirectory,
  type SnapshotRef,
  type TreeRef,
  type WorkspaceStore,
} from '@opencode-tools/core';
import { AttributeProgram } from './attributes/attribute-program.ts';
import { BlobIndex } from './blob-index.ts';
import { BlobReader } from './blob-reader.ts';
import { toBytePath } from './byte-path.ts';
import { collectContent } from './collect-content.ts';
import { contentUsage } from './content-usage.ts';
import { diffTrees } from './diff-trees.ts';
import type { ContentStore, ContentStoreOptions, ContentTar } from './content-store-contract.ts';
import { openContentTar, streamOf } from './content-tar.ts';
import { type HostPlaces, checkShareable, realDirectory, refuseOwnHome } from './check-directory.ts';
import { exportTrees } from './export-trees.ts';
import { errnoOf, storeFailure, throwIfCancelled } from './failures.ts';
import { freezeLayers } from './freeze-layers.ts';
import { freezeVolume } from './freeze-listed.ts';
import { freezeStream } from './freeze-volume.ts';
import { guardDirectory } from './guard-directory.ts';
import { importTrees } from './import-trees.ts';
import { KnownSeeds } from './known-seeds.ts';
import { restoreTree } from './restore-directory.ts';
import { saveDirectory, saveTree } from './save-tree.ts';
import { seedContent } from './seed-content.ts';
import { SnapshotFiles } from './snapshot-files.ts';
import { type StatCache, emptyStatCache, loadStatCache } from './stat-cache.ts';
import { createLayout, layoutOf, removeAbandoned } from './store-files.ts';
import type { StoreParts } from './store-parts.ts';
import { StoreUses } from './store-uses.ts';
import { writeTar } from './tar-stream.ts';
import { withTop } from './tree-entry.ts';
import { verifyTree } from './verify-tree.ts';

/** Makes the content-addressed workspace store: blobs in packs, a manifest per snapshot. See `WorkspaceStore`. */
export function createContentStore(options: ContentStoreOptions): ContentStore {
  return new FileContentStore(options);
}

/**
 * Writes blobs first, flushed and renamed into place as one pack, then the manifest that names them. A crash between
 * leaves a pack that the next freeze of the same tree uses, and never a snapshot without its content.
 */
class FileContentStore implements ContentStore {
  readonly #options: ContentStoreOptions;
  readonly #parts: StoreParts;
  readonly #attributes: AttributeProgram;
  #opened: Promise<void> | undefined;

  constructor(options: ContentStoreOptions) {
    this.#options = options;
    const layout = layoutOf(options.directory);
    const index = new BlobIndex(layout, options.logger);
    const snapshots = new SnapshotFiles(layout, index);
    const seeds = new KnownSeeds(layout, snapshots);
    this.#attributes = new AttributeProgram(layout.programs, options.logger);
    this.#parts = { layout, index, snapshots, seeds, uses: new StoreUses(layout, () => this.#open()) };
  }

  checkDirectory(path: string): Promise<ShareableDirectory> {
    return checkShareable(path, this.#places);
  }

  guardDirectory(path: string): Promise<readonly GuardedPath[]> {
    return guardDirectory(this.#options.git, path);
  }

  async seed(request: SeedRequest, onReading?: () => void): Promise<SnapshotRef> {
    throwIfCancelled(request.signal);
    await using _ = await this.#parts.uses.begin();
    const [parts, options, places, attributes] = [this.#parts, this.#options, this.#places, this.#attributes];
    return await seedContent({ parts, options, places, attributes, onReading }, request);
  }

  async freeze(tree: TreeRef, options: FreezeOptions = {}): Promise<SnapshotRef> {
    const { signal, onLeftOut } = options;
    throwIfCancelled(signal);
    if (tree.kind === 'directory') {
      const path = await realDirectory(tree.path);
      const { logger } = this.#options;
      const attributes = this.#attributes;
      return saveDirectory(this.#parts, path, { useStatCache: true, attributes, logger, onLeftOut, signal });
    }
    const { volumes, logger } = this.#options;
    await using work = new AsyncDisposableStack();
    return await saveTree(
      this.#parts,
      (store) => freezeVolume(volumes, tree.volume, store, work, { logger, onLeftOut, signal }),
      signal,
    );
  }

  async provision(request: ProvisionRequest): Promise<void> {
    const { volume, labels, owner, snapshotId, signal } = request;
    const { volumes } = this.#options;
    throwIfCancelled(signal);
    await using _ = await this.#parts.uses.begin();
    const snapshot = snapshotId === null ? undefined : await this.#parts.snapshots.load(snapshotId);
    await volumes.remove(volume);
    try {
      await volumes.create({ name: volume, labels, owner });
      if (snapshot === undefined) return;
      using blobs = new BlobReader(this.#parts.index, snapshot.ref.id);
      await volumes.writeTree(volume, writeTar(snapshot.entries, blobs, { signal }), signal);
      throwIfCancelled(signal);
    } catch (error) {
      await volumes.remove(volume).catch(() => undefined);
      throwIfCancelled(signal);
      throw error;
    }
  }

  async ready(): Promise<void> {}

  async restoreDirectory(
    directory: string,
    snapshotId: string,
    options: FreezeOptions = {},
  ): Promise<{ readonly written: number; readonly removed: number }> {
    const { signal, onLeftOut } = options;
    await using _ = await this.#parts.uses.begin();
    const cache = await this.#cacheOf(directory);
    const tree = await this.#parts.snapshots.loadBeside(snapshotId, cache);
    const made = await mkdir(directory).then(
      () => true,
      () => false,
    );
    const path = await realDirectory(directory);
    refuseOwnHome(path, this.#options.directory);
    using blobs = new BlobReader(this.#parts.index, snapshotId);
    try {
      const { environment } = this.#options;
      const attributes = this.#attributes;
      const { leftOut, ...done } = await restoreTree(toBytePath(path), tree, blobs, {
        cache,
        environment,
        attributes,
        signal,
      });
      for (const one of leftOut) onLeftOut?.(one);
      return done;
    } catch (error) {
      if (made) await rm(path, { recursive: true, force: true });
      throw errnoOf(error) === undefined ? error : storeFailure(path, error);
    }
  }

  async contentOf(snapshotId: string): Promise<string> {
    return snapshotId;
  }

  async diff(fromId: string | null, toId: string | null) {
    await using _ = await this.#parts.uses.begin();
    const { from, to } = await this.#parts.snapshots.loadApart(fromId, toId);
    return diffTrees(from, to);
  }

  async verify(snapshotId: string, already: AlreadyRead = new Map()): Promise<SnapshotRef> {
    await using _ = await this.#parts.uses.begin();
    const snapshot = await this.#parts.snapshots.load(snapshotId);
    await verifyTree(snapshot, this.#parts.index, already);
    return snapshot.ref;
  }

  has(snapshotId: string): Promise<boolean> {
    return this.#parts.snapshots.has(snapshotId);
  }

  async missing({ snapshotIds }: Parameters<WorkspaceStore['missing']>[0]): Promise<MissingTrees> {
    const found = await Promise.all(snapshotIds.map(async (id) => ({ id, isThere: await this.has(id) })));
    const gone = found.filter(({ isThere }) => !isThere).map(({ id }) => [id, 'its manifest is missing'] as const);
    return { snapshots: new Map(gone), volumes: new Set() };
  }

  /** Everything that was made ahead is looked for when it is used. */
  async takeStock(): Promise<void> {}

  readTar(snapshotId: string, signal?: AbortSignal): Promise<ContentTar> {
    return openContentTar(this.#parts, snapshotId, signal);
  }

  async freezeOnto(...[snapshotId, layers, options = {}]: Parameters<ContentStore['freezeOnto']>) {
    const { signal, onLeftOut } = options;
    const { logger } = this.#options;
    await using _ = await this.#parts.uses.begin();
    const { entries } = await this.#parts.snapshots.load(snapshotId);
    return await saveTree(
      this.#parts,
      (store) => freezeLayers(entries, layers, store, { logger, onLeftOut, signal }),
      signal,
    );
  }

  async layering(): Promise<LayerCapability> {
    return { able: false, reason: 'the content store keeps every tree as files' };
  }

  async reserve(): Promise<null> {
    return null;
  }

  async exportTrees(...[trees, describe, options]: Parameters<WorkspaceStore['exportTrees']>): Promise<ByteStream> {
    return exportTrees(this.#parts, trees, describe, options?.signal);
  }

  freezeTar(stream: ByteStream, { signal }: { readonly signal?: AbortSignal } = {}): Promise<SnapshotRef> {
    const { logger } = this.#options;
    return saveTree(
      this.#parts,
      async (store) => withTop(await freezeStream(stream, store, { logger, signal })),
      signal,
    );
  }

  async tarOf(snapshotId: string, { signal }: { readonly signal?: AbortSignal } = {}): Promise<ByteStream> {
    return streamOf(await this.readTar(snapshotId, signal));
  }

  async importTrees(...[stream, admit, options]: Parameters<WorkspaceStore['importTrees']>) {
    await using _ = await this.#parts.uses.begin();
    try {
      await this.#parts.index.refresh();
      return await importTrees(stream, this.#parts, admit, options?.signal);
    } catch (error) {
      throwIfCancelled(options?.signal);
      throw storeFailure(this.#options.directory, error);
    }
  }

  usage(groups: readonly (readonly string[])[]): Promise<readonly GroupUsage[]> {
    return this.#parts.uses.during(() => contentUsage(this.#parts, groups));
  }

  collect(keep: () => Promise<ReadonlySet<string>>): Promise<Collected> {
    const { graceMs, packAfterMs } = this.#options;
    return collectContent(this.#parts, keep, {
      ...(graceMs === undefined ? {} : { graceMs }),
      ...(packAfterMs === undefined ? {} : { packAfterMs }),
    });
  }

  async settle(): Promise<void> {
    await this.#opened;
  }

  /** What is known of a directory that may not be there. */
  async #cacheOf(directory: string): Promise<StatCache> {
    const path = await realpath(directory).catch(() => undefined);
    const kind = (await this.#attributes.isThere()) ? 'attributes' : 'plain';
    return path === undefined ? emptyStatCache : loadStatCache(this.#parts.layout, toBytePath(path), kind);
  }

  async #open(): Promise<void> {
    this.#opened ??= createLayout(this.#parts.layout)
      .then(() => removeAbandoned(this.#parts.layout))
      .then(() => undefined);
    try {
      await this.#opened;
    } catch (error) {
      this.#opened = undefined;
      throw storeFailure(this.#options.directory, error);
    }
  }

  get #places(): HostPlaces {
    const { directory: store, environment, mayMount = null, steering } = this.#options;
    return { store, userHome: environment['HOME'], mayMount, steering };
  }
}
