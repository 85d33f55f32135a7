import {
  type AlreadyRead,
  type Collected,
  type GroupUsage,
  type LayerCapability,
  type LeftOut,
  type ProvisionRequest,
  type FreezeOptions,
  type SeedRequest,
  type SnapshotRef,
  type TreeRef,
  type VolumeRecipe,
  type WorkspaceStore,
  isOpencodeToolsError,
} from '@opencode-tools/core';
import { throwIfCancelled } from '../failures.ts';
import { addUsage } from '../measure-use.ts';
import { collectLayers } from './collect-layers.ts';
import { freezeMounted } from './freeze-mounted.ts';
import { freezeStack, known } from './freeze-stack.ts';
import { type CopiedOut, LayerFiles, type LayerSnapshot } from './layer-files.ts';
import { frozenOnto } from './frozen-onto.ts';
import { LayerMaker } from './layer-maker.ts';
import { LayerStock, layerGone } from './layer-stock.ts';
import { isLayered, refOf } from './layer-names.ts';
import { layerUsage } from './layer-usage.ts';
import type { LayeredStoreOptions } from './layered-store-options.ts';
import { PackedLayers } from './packed-layers.ts';
import { retireLayers } from './retire-layers.ts';
import { contentLeft, findMissing, standIn } from './stand-in.ts';
import { UpperSupply } from './upper-supply.ts';
import { verifyLayers } from './verify-layers.ts';

/** A snapshot of as many layers is flattened in the background, and what is archived from then on starts a shorter stack. */
const flattenAt = 24;

/** Below it a layer is made of names in the time that packing takes. */
const packFrom = 64;

/**
 * Makes a workspace store whose volumes are stacks of layers where the engine can do that: a snapshot copies what changed and
 * a volume of it copies nothing. Trees from elsewhere, directories of the host and volumes without layers are the content
 * store's, and snapshots of both kinds are turned into each other where it takes that.
 */
export function createLayeredStore(options: LayeredStoreOptions): WorkspaceStore {
  return new LayeredStore(options);
}

class LayeredStore implements WorkspaceStore {
  readonly #options: LayeredStoreOptions;
  readonly #files: LayerFiles;
  readonly #uppers: UpperSupply;
  readonly #maker: LayerMaker;
  readonly #packed: PackedLayers;
  readonly #stock: LayerStock;
  readonly #background = new Set<Promise<unknown>>();
  /** Ends what was only asked to be ready. */
  readonly #closing = new AbortController();

  constructor(options: LayeredStoreOptions) {
    this.#options = options;
    this.#files = new LayerFiles(options.directory);
    this.#packed = new PackedLayers(options.layers, this.#files, (work) => this.#later(work));
    this.#maker = new LayerMaker(options.layers, this.#files, options.content, this.#packed);
    this.#stock = new LayerStock(options.layers, this.#files);
    this.#uppers = new UpperSupply(options.layers, this.#files, (work) => this.#later(work));
  }

  checkDirectory: WorkspaceStore['checkDirectory'] = (path) => this.#options.content.checkDirectory(path);
  guardDirectory: WorkspaceStore['guardDirectory'] = (path) => this.#options.content.guardDirectory(path);

  async layering(): Promise<LayerCapability> {
    const { useLayers = true, layers } = this.#options;
    return useLayers ? layers.capability() : { able: false, reason: 'the configuration says so (checkpoints.layers)' };
  }

  async seed(request: SeedRequest): Promise<SnapshotRef> {
    const getReady = (): void => this.#getReady((signal) => this.#maker.basedOnComing(seeding, signal));
    const seeding = this.#options.content.seed(request, request.ready === true ? getReady : undefined);
    return seeding;
  }

  async freeze(tree: TreeRef, options: FreezeOptions = {}): Promise<SnapshotRef> {
    const { layers, content } = this.#options;
    throwIfCancelled(options.signal);
    const stack = tree.kind === 'volume' ? await layers.stackOf(tree.volume) : undefined;
    if (tree.kind === 'directory' || stack === undefined || stack.upper === null) return content.freeze(tree, options);
    const mounted = { upper: stack.upper, lowers: stack.lowers };
    const store = {
      layers,
      files: this.#files,
      flattenAt: this.#flattenAt,
      packFrom: this.#options.packFrom ?? packFrom,
    };
    const { ref, snapshot, packed, leftOut } = await freezeStack(store, tree.volume, mounted, options.signal);
    if (leftOut !== undefined) options.onLeftOut?.(leftOut);
    if (packed !== undefined) this.#packed.soon(packed);
    if (snapshot !== undefined && snapshot.layers.length >= this.#flattenAt)
      this.#later(this.#maker.flattened(snapshot));
    return ref;
  }

  async provision(request: ProvisionRequest): Promise<void> {
    const { volume, labels, owner, snapshotId, signal } = request;
    const { content, layers, volumes } = this.#options;
    throwIfCancelled(signal);
    if (!(await this.layering()).able)
      return content.provision({
        ...request,
        snapshotId: snapshotId === null ? null : await this.contentOf(snapshotId, request),
      });
    await this.#files.marks.atWork(async () => {
      await this.#stock.compare();
      const snapshot = await this.#stackable(snapshotId, signal);
      const root = snapshotId === null ? { mode: 0o755, ...owner } : snapshot.root;
      const upper = await this.#uppers.take(root, snapshot);
      const stack = async () => layers.stack({ name: volume, labels }, { upper, lowers: snapshot.layers });
      try {
        throwIfCancelled(signal);
        await stack().catch(async (error: unknown) => {
          // A half-made volume has the name, with a stack of its own.
          if (!isOpencodeToolsError(error, 'OCT_INVALID_ARGUMENT')) throw error;
          await volumes.remove(volume);
          await stack();
        });
        throwIfCancelled(signal);
      } catch (error) {
        await volumes.remove(volume).catch(() => undefined);
        throw error;
      }
      await this.#files.marks.done([upper]);
    });
  }

  async ready(snapshotId: string): Promise<void> {
    this.#getReady((signal) => this.#stackable(snapshotId, signal));
  }

  #getReady(work: (signal: AbortSignal) => Promise<unknown>): void {
    const { signal } = this.#closing;
    const begin = async (): Promise<void> => {
      const { able } = await this.layering();
      if (!able || signal.aborted) return;
      await this.#files.marks.atWork(async () => {
        await this.#stock.compare();
        await work(signal);
      });
    };
    this.#later(begin());
  }

  async reserve(owner: { readonly uid: number; readonly gid: number }): Promise<VolumeRecipe | null> {
    if (!(await this.layering()).able) return null;
    return this.#files.marks.atWork(async () => {
      await this.#stock.compare();
      const root = { mode: 0o755, ...owner };
      const [empty] = await Promise.all([this.#maker.empty(), this.#uppers.ready(root)]);
      const upper = await this.#uppers.take(root, empty);
      return this.#options.layers.recipe({ upper, lowers: empty.layers });
    });
  }

  async restoreDirectory(...[directory, snapshotId, options]: Parameters<WorkspaceStore['restoreDirectory']>) {
    return this.#options.content.restoreDirectory(directory, await this.contentOf(snapshotId, options), options);
  }

  async contentOf(snapshotId: string, { signal, onLeftOut }: FreezeOptions = {}): Promise<string> {
    const { content } = this.#options;
    if (!isLayered(snapshotId)) return content.contentOf(snapshotId);
    let known = await this.#files.findContent(snapshotId);
    if (known === undefined || !(await content.has(known.equal)))
      known = await this.#files.marks.atWork(async () => {
        await this.#stock.compare();
        const snapshot = await this.#files.getSnapshot(snapshotId);
        return this.#stock.explained(snapshot, async () => this.#copyOut(snapshot, signal));
      });
    for (const one of known.leftOut) onLeftOut?.(one);
    return known.equal;
  }

  async #copyOut(wanted: LayerSnapshot, signal: AbortSignal | undefined): Promise<CopiedOut> {
    const isWhole = this.#stock.lost(wanted) === undefined;
    const onto = isWhole ? await frozenOnto(this.#options, this.#files, wanted, signal) : undefined;
    if (onto !== undefined) return onto;
    const snapshot = await this.#stackable(wanted.id, signal);
    const copied = await freezeMounted(this.#options, this.#files, snapshot, signal);
    await this.#files.saveEqual('content', wanted.id, copied.equal, copied.leftOut);
    return copied;
  }

  async diff(fromId: string | null, toId: string | null) {
    if (fromId === toId) return [];
    const from = fromId === null ? null : await this.contentOf(fromId);
    return this.#options.content.diff(from, toId === null ? null : await this.contentOf(toId));
  }

  async verify(snapshotId: string, already: AlreadyRead = new Map()): Promise<SnapshotRef> {
    if (!isLayered(snapshotId)) return this.#options.content.verify(snapshotId, already);
    const snapshot = await this.#files.getSnapshot(snapshotId);
    await verifyLayers(this.#options.layers, snapshot, already).catch(async (error: unknown) => {
      const { snapshots } = await this.missing({ snapshotIds: [snapshotId], volumes: [] }).catch(() => {
        throw error;
      });
      const left = await contentLeft(this.#parts, snapshot);
      if (snapshots.has(snapshotId) || this.#stock.lost(snapshot) === undefined) throw error;
      if (left !== undefined) await this.#options.content.verify(left, already);
    });
    return refOf(snapshot);
  }

  async takeStock(): Promise<void> {
    if (!(await this.#files.isUnused())) await this.#stock.take();
  }

  missing: WorkspaceStore['missing'] = (of) =>
    findMissing({ ...this.#parts, layers: this.#options.layers, stock: this.#stock }, of);

  async has(snapshotId: string): Promise<boolean> {
    if (!isLayered(snapshotId)) return this.#options.content.has(snapshotId);
    return (await this.#files.findSnapshot(snapshotId)) !== undefined;
  }

  async exportTrees(...[trees, describe, options]: Parameters<WorkspaceStore['exportTrees']>) {
    const content = new Map<string, string>();
    const { signal, onLeftOut } = options ?? {};
    for (const [name, id] of trees) {
      const told = (one: LeftOut): void => onLeftOut?.(name, one);
      content.set(name, await this.contentOf(id, { onLeftOut: told, ...(signal === undefined ? {} : { signal }) }));
    }
    return this.#options.content.exportTrees(content, describe, options);
  }

  freezeTar: WorkspaceStore['freezeTar'] = (...args) => this.#options.content.freezeTar(...args);

  async tarOf(...[snapshotId, options]: Parameters<WorkspaceStore['tarOf']>) {
    return this.#options.content.tarOf(await this.contentOf(snapshotId, options), options);
  }

  importTrees: WorkspaceStore['importTrees'] = (...args) => this.#options.content.importTrees(...args);

  async usage(groups: readonly (readonly string[])[]): Promise<readonly GroupUsage[]> {
    const files = await this.#options.content.usage(groups.map((ids) => ids.filter((id) => !isLayered(id))));
    return groups.flat().some(isLayered)
      ? addUsage(files, await layerUsage(this.#options.layers, this.#files, groups))
      : files;
  }

  async collect(keep: () => Promise<ReadonlySet<string>>): Promise<Collected> {
    const files = await this.#options.content.collect(keep);
    const { layers } = this.#options;
    if ((await this.#files.isUnused()) || !(await layers.capability()).able) return files;
    await this.#files.tidy();
    await this.#packed.settle();
    const found = await collectLayers(layers, this.#files, keep);
    if (found.unknown.length === 0) await retireLayers(layers, this.#files);
    return {
      snapshots: files.snapshots + found.snapshots,
      layers: found.layers,
      bytes: files.bytes + found.bytes,
      unknown: [...files.unknown, ...found.unknown],
    };
  }

  async settle(): Promise<void> {
    this.#closing.abort();
    await this.#packed.settle();
    await Promise.all(this.#background);
  }

  /** The snapshot as layers that one mount can have, and that are fit for it. */
  async #stackable(snapshotId: string | null, signal: AbortSignal | undefined): Promise<LayerSnapshot> {
    const snapshot = await this.#mountable(snapshotId, signal);
    await this.#packed.ready(snapshot.layers);
    return snapshot;
  }

  async #mountable(snapshotId: string | null, signal: AbortSignal | undefined): Promise<LayerSnapshot> {
    if (snapshotId === null) return this.#maker.empty();
    if (!isLayered(snapshotId)) return this.#maker.based(snapshotId, signal);
    const snapshot = await this.#files.getSnapshot(snapshotId);
    const lost = this.#stock.lost(snapshot);
    if (lost !== undefined) {
      const instead = await standIn(this.#parts, snapshot, signal);
      if (instead === undefined) throw layerGone(snapshotId, lost);
      return instead;
    }
    if (snapshot.layers.length < this.#flattenAt) return snapshot;
    const flat = await known(this.#files, await this.#files.findEqual('flat', snapshotId));
    if (flat !== undefined) return { ...flat, id: snapshot.id };
    if (snapshot.layers.length <= (await this.#options.layers.mostLayers())) return snapshot;
    return { ...(await this.#maker.flattened(snapshot, signal)), id: snapshot.id };
  }

  #later(work: Promise<unknown>): void {
    const settled = work
      .catch((error: unknown) => {
        if (isOpencodeToolsError(error, 'OCT_CANCELLED')) return;
        this.#options.logger.warn('Work on layers in the background failed', { error: String(error) });
      })
      .finally(() => this.#background.delete(settled));
    this.#background.add(settled);
  }

  get #parts() {
    return { content: this.#options.content, files: this.#files, maker: this.#maker };
  }

  get #flattenAt(): number {
    return this.#options.flattenAt ?? flattenAt;
  }
}
