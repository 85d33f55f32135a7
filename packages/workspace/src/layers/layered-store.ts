import { randomBytes } from 'node:crypto';
import type {
  Collected,
  LayerCapability,
  LayerPort,
  LayerRoot,
  Logger,
  ProvisionRequest,
  SnapshotRef,
  TreeRef,
  VolumePort,
  VolumeRecipe,
  WorkspaceStore,
} from '@opencode-tools/core';
import type { ContentStore } from '../content-store.ts';
import { throwIfCancelled } from '../failures.ts';
import { collectLayers } from './collect-layers.ts';
import { LayerFiles, type LayerSnapshot } from './layer-files.ts';
import { verifyLayers } from './verify-layers.ts';

/** A snapshot of as many layers is flattened in the background, and what is archived from then on starts a shorter stack. */
const flattenAt = 24;
const sparesAtOnce = 16;
const sparesLeft = 4;

export interface LayeredStoreOptions {
  /** Where this host's records of layers are. */
  readonly directory: string;
  /** Where everything goes that is not a volume of layers. */
  readonly content: ContentStore;
  readonly layers: LayerPort;
  /** False makes new volumes without layers, whatever the engine can do; those that have layers keep them. */
  readonly useLayers?: boolean;
  readonly volumes: VolumePort;
  /** Labels of volumes that are made for the time of one call. */
  readonly labels: Readonly<Record<string, string>>;
  readonly logger: Logger;
  /** Layers at which a snapshot is flattened; 2 to 40, default 24. */
  readonly flattenAt?: number;
}

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
  readonly #background = new Set<Promise<unknown>>();

  constructor(options: LayeredStoreOptions) {
    this.#options = options;
    this.#files = new LayerFiles(options.directory);
  }

  checkDirectory: WorkspaceStore['checkDirectory'] = (path) => this.#options.content.checkDirectory(path);
  guardDirectory: WorkspaceStore['guardDirectory'] = (path) => this.#options.content.guardDirectory(path);
  seed: WorkspaceStore['seed'] = (request) => this.#options.content.seed(request);

  async layering(): Promise<LayerCapability> {
    const { useLayers = true, layers } = this.#options;
    return useLayers ? layers.capability() : { able: false, reason: 'the configuration says so (checkpoints.layers)' };
  }

  async freeze(tree: TreeRef, options: { readonly signal?: AbortSignal } = {}): Promise<SnapshotRef> {
    const { layers, content } = this.#options;
    throwIfCancelled(options.signal);
    const stack = tree.kind === 'volume' ? await layers.stackOf(tree.volume) : undefined;
    if (tree.kind === 'directory' || stack === undefined || stack.upper === null) return content.freeze(tree, options);
    return this.#freezeStack(tree.volume, { upper: stack.upper, lowers: stack.lowers }, options.signal);
  }

  async provision(request: ProvisionRequest): Promise<void> {
    const { volume, labels, owner, snapshotId, signal } = request;
    const { content, layers, volumes } = this.#options;
    throwIfCancelled(signal);
    if (!(await this.layering()).able)
      return content.provision({ ...request, snapshotId: await this.#asContent(snapshotId) });
    const snapshot = await this.#stackable(snapshotId, signal);
    const root = snapshotId === null ? { mode: 0o755, ...owner } : snapshot.root;
    await volumes.remove(volume);
    const upper = await this.#upper(root, snapshot.id);
    try {
      throwIfCancelled(signal);
      await layers.stack({ name: volume, labels }, { upper, lowers: snapshot.layers });
      throwIfCancelled(signal);
    } catch (error) {
      await volumes.remove(volume).catch(() => undefined);
      throw error;
    }
    await this.#files.done([upper]);
  }

  async reserve(owner: { readonly uid: number; readonly gid: number }): Promise<VolumeRecipe | null> {
    if (!(await this.layering()).able) return null;
    const empty = await this.#empty();
    const upper = await this.#upper({ mode: 0o755, ...owner }, empty.id);
    return this.#options.layers.recipe({ upper, lowers: empty.layers });
  }

  async restoreDirectory(...[directory, snapshotId, options]: Parameters<WorkspaceStore['restoreDirectory']>) {
    const id = (await this.#asContent(snapshotId, options?.signal)) ?? snapshotId;
    return this.#options.content.restoreDirectory(directory, id, options);
  }

  async diff(fromId: string, toId: string) {
    if (fromId === toId) return [];
    const [from, to] = [await this.#asContent(fromId), await this.#asContent(toId)];
    return this.#options.content.diff(from ?? fromId, to ?? toId);
  }

  async verify(snapshotId: string): Promise<SnapshotRef> {
    if (!isLayered(snapshotId)) return this.#options.content.verify(snapshotId);
    const snapshot = await this.#files.getSnapshot(snapshotId);
    await verifyLayers(this.#options.layers, this.#files, snapshot);
    return refOf(snapshot);
  }

  async has(snapshotId: string): Promise<boolean> {
    if (!isLayered(snapshotId)) return this.#options.content.has(snapshotId);
    return (await this.#files.findSnapshot(snapshotId)) !== undefined;
  }

  async collect(keep: () => Promise<ReadonlySet<string>>): Promise<Collected> {
    const none = { snapshots: 0, layers: 0, bytes: 0, unknown: [] };
    const used = this.#options.useLayers !== false || (await this.#files.listUppers()).length > 0;
    if (!used || !(await this.#options.layers.capability()).able) return none;
    return collectLayers(this.#options.layers, this.#files, keep);
  }

  async settle(): Promise<void> {
    await Promise.all(this.#background);
  }

  async #freezeStack(
    volume: string,
    stack: { readonly upper: string; readonly lowers: readonly string[] },
    signal: AbortSignal | undefined,
  ): Promise<SnapshotRef> {
    const { layers } = this.#options;
    const record = await this.#files.findUpper(stack.upper);
    const last = record?.last ? await this.#files.findSnapshot(record.last.snapshot) : undefined;
    const layer = newName();
    const previous = last === undefined ? null : (record?.last ?? null);
    const mayAdd = (last?.layers.length ?? 0) < this.#flattenAt;
    const root = record?.root ?? null;
    await this.#files.begin([layer]);
    const archived = await layers.archive({ volume, stack, layer, previous, mayAdd, root, signal });
    if (archived.kind === 'same') {
      await this.#files.done([layer]);
      const same = last ?? (record === undefined ? undefined : await this.#files.findSnapshot(record.on));
      if (same !== undefined) return { ...refOf(same), addedBytes: 0 };
    }
    const made =
      archived.kind === 'same'
        ? { onto: 'lowers' as const, size: { entries: 0, bytes: 0 }, root: root ?? plainRoot }
        : archived;
    const below = { previous: last?.layers ?? [], lowers: stack.lowers, nothing: [] }[made.onto];
    const beneath =
      made.onto === 'previous' ? last : made.onto === 'lowers' ? await this.#known(record?.on) : undefined;
    const snapshot = await this.#files.saveSnapshot({
      layers: archived.kind === 'same' ? below : [layer, ...below],
      root: made.root,
      entries: made.size.entries + (beneath?.entries ?? 0),
      bytes: made.size.bytes + (beneath?.bytes ?? 0),
      addedBytes: made.size.bytes,
    });
    if (archived.kind === 'layer') {
      const on = record?.on ?? snapshot.id;
      await this.#files.saveUpper(stack.upper, {
        on,
        root: root ?? made.root,
        last: { layer, snapshot: snapshot.id, opaque: archived.opaque },
      });
      await this.#files.done([layer]);
    }
    if (snapshot.layers.length >= this.#flattenAt) this.#later(this.#flattened(snapshot));
    return refOf(snapshot);
  }

  /** The snapshot as layers that one mount can have. */
  async #stackable(snapshotId: string | null, signal: AbortSignal | undefined): Promise<LayerSnapshot> {
    if (snapshotId === null) return this.#empty();
    if (!isLayered(snapshotId)) return this.#based(snapshotId, signal);
    const snapshot = await this.#files.getSnapshot(snapshotId);
    if (snapshot.layers.length < this.#flattenAt) return snapshot;
    const flat = await this.#known(await this.#files.findEqual('flat', snapshotId));
    if (flat !== undefined) return { ...flat, id: snapshot.id };
    if (snapshot.layers.length <= (await this.#options.layers.mostLayers())) return snapshot;
    return { ...(await this.#flattened(snapshot, signal)), id: snapshot.id };
  }

  /** A snapshot of the content store as one layer, made once for all volumes that begin with it. */
  async #based(snapshotId: string, signal: AbortSignal | undefined): Promise<LayerSnapshot> {
    const known = await this.#known(await this.#files.findEqual('base', snapshotId));
    if (known !== undefined) return known;
    const { content, layers } = this.#options;
    const { ref, root, tar } = await content.readTar(snapshotId, signal);
    const layer = newName();
    await this.#files.begin([layer]);
    await layers.fill(layer, tar, signal);
    throwIfCancelled(signal);
    const { entries, bytes } = ref;
    const snapshot = await this.#files.saveSnapshot({ layers: [layer], root, entries, bytes, addedBytes: bytes });
    await this.#files.saveEqual('base', snapshotId, snapshot.id);
    await this.#files.done([layer]);
    return snapshot;
  }

  /** One layer with what a deep stack shows. */
  async #flattened(snapshot: LayerSnapshot, signal?: AbortSignal): Promise<LayerSnapshot> {
    const known = await this.#known(await this.#files.findEqual('flat', snapshot.id));
    if (known !== undefined) return known;
    const layer = newName();
    await this.#files.begin([layer]);
    const size = await this.#options.layers.flatten(layer, snapshot.layers, signal);
    const { root } = snapshot;
    const flat = await this.#files.saveSnapshot({ layers: [layer], root, ...size, addedBytes: size.bytes });
    await this.#files.saveEqual('flat', snapshot.id, flat.id);
    await this.#files.done([layer]);
    return flat;
  }

  /** The same tree in the content store; undefined for what is there already. */
  async #asContent(snapshotId: string, signal?: AbortSignal): Promise<string>;
  async #asContent(snapshotId: string | null, signal?: AbortSignal): Promise<string | null>;
  async #asContent(snapshotId: string | null, signal?: AbortSignal): Promise<string | null> {
    if (snapshotId === null || !isLayered(snapshotId)) return snapshotId;
    const { content, layers, volumes, labels } = this.#options;
    const known = await this.#files.findEqual('content', snapshotId);
    if (known !== undefined && (await content.has(known))) return known;
    const snapshot = await this.#stackable(snapshotId, signal);
    const [only = ''] = snapshot.layers;
    const lowers = snapshot.layers.length === 1 ? [only, ...(await this.#empty()).layers] : snapshot.layers;
    const volume = `oct-view-${newName()}`;
    await layers.stack({ name: volume, labels }, { upper: null, lowers });
    try {
      const { id } = await content.freeze({ kind: 'volume', volume }, signal === undefined ? {} : { signal });
      await this.#files.saveEqual('content', snapshotId, id);
      return id;
    } finally {
      await volumes.remove(volume);
    }
  }

  async #empty(): Promise<LayerSnapshot> {
    const known = await this.#known(await this.#files.findEqual('base', 'empty'));
    if (known !== undefined) return known;
    const layer = newName();
    await this.#files.begin([layer]);
    await this.#options.layers.makeEmpty(layer);
    const snapshot = await this.#files.saveSnapshot({
      layers: [layer],
      root: plainRoot,
      entries: 1,
      bytes: 0,
      addedBytes: 0,
    });
    await this.#files.saveEqual('base', 'empty', snapshot.id);
    await this.#files.done([layer]);
    return snapshot;
  }

  /** A new upper; it stays noted as begun until its volume stands. */
  async #upper(root: LayerRoot, on: string): Promise<string> {
    const group = `${root.mode.toString(8)}-${root.uid}-${root.gid}`;
    const { name, left } = await this.#files.takeSpare(group);
    if (left < sparesLeft) this.#later(this.#addSpares(group, root));
    const upper = name ?? newName();
    await this.#files.begin([upper]);
    if (name === undefined) await this.#options.layers.prepare([{ name: upper, root }]);
    await this.#files.saveUpper(upper, { on, root, last: null });
    return upper;
  }

  async #addSpares(group: string, root: LayerRoot): Promise<void> {
    const names = Array.from({ length: sparesAtOnce }, newName);
    await this.#files.begin(names);
    await this.#options.layers.prepare(names.map((name) => ({ name, root })));
    await this.#files.addSpares(group, names);
    await this.#files.done(names);
  }

  async #known(id: string | undefined): Promise<LayerSnapshot | undefined> {
    return id === undefined ? undefined : this.#files.findSnapshot(id);
  }

  #later(work: Promise<unknown>): void {
    const settled = work
      .catch((error: unknown) =>
        this.#options.logger.warn('Work on layers in the background failed', { error: String(error) }),
      )
      .finally(() => this.#background.delete(settled));
    this.#background.add(settled);
  }

  get #flattenAt(): number {
    return this.#options.flattenAt ?? flattenAt;
  }
}

const plainRoot: LayerRoot = { mode: 0o755, uid: 0, gid: 0 };

function refOf({ id, digest, entries, bytes, addedBytes }: LayerSnapshot): SnapshotRef {
  return { store: 'overlay', id, digest, entries, bytes, addedBytes };
}

function isLayered(snapshotId: string | null): boolean {
  return snapshotId?.startsWith('lay_') === true;
}

/** Short, since the names of a whole stack have to fit into one page. */
function newName(): string {
  return BigInt(`0x${randomBytes(8).toString('hex')}`)
    .toString(36)
    .padStart(13, '0')
    .slice(-12);
}
