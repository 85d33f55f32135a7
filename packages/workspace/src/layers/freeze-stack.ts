import {
  type Archived,
  type LayerPort,
  type LeftOut,
  OpencodeToolsError,
  type SnapshotRef,
  isOpencodeToolsError,
} from '@opencode-tools/core';
import type { LayerFiles, LayerSnapshot, UpperRecord } from './layer-files.ts';
import { holdsOf, inLayersOf, isSameRoot, newName, plainRoot, refOf } from './layer-names.ts';

interface Store {
  readonly layers: LayerPort;
  readonly files: LayerFiles;
  /** A snapshot of so many layers is the last on its stack. */
  readonly flattenAt: number;
  readonly packFrom: number;
}

interface FrozenStack {
  readonly ref: SnapshotRef;
  /** Undefined where nothing changed since the last one. */
  readonly snapshot?: LayerSnapshot;
  /** The new layer where it is packed; it is under way until it is unpacked. */
  readonly packed?: string;
  readonly leftOut?: LeftOut | undefined;
}

/**
 * Archives what changed in a mounted stack as a layer, and saves the snapshot that it makes of those below. Where the engine has lost layers of
 * the last snapshot, and not of the stack, all that the upper has is archived anew.
 *
 * @throws OpencodeToolsError `OCT_WORKSPACE_LOST` where layers of the stack itself are gone
 */
export async function freezeStack(
  store: Store,
  volume: string,
  stack: { readonly upper: string; readonly lowers: readonly string[] },
  signal: AbortSignal | undefined,
): Promise<FrozenStack> {
  const record = await store.files.findUpper(stack.upper);
  const last = record?.last ? await store.files.findSnapshot(record.last.snapshot) : undefined;
  const freeze = async (onto: LayerSnapshot | undefined): Promise<FrozenStack> => {
    const frozen = await freezeOnto(store, volume, { ...stack, record, last: onto }, signal);
    const there = await frozen.there;
    const gone = [stack.upper, ...stack.lowers, ...frozen.layers].filter((layer) => !there.has(layer));
    if (gone.length > 0) throw lostFrom(volume, gone);
    return frozen;
  };
  try {
    return await freeze(last);
  } catch (error) {
    const there = await store.layers.names().catch(() => {
      throw error;
    });
    const gone = [stack.upper, ...stack.lowers].filter((layer) => !there.has(layer));
    if (gone.length > 0) throw lostFrom(volume, gone);
    if (last?.layers.every((layer) => there.has(layer)) !== false) throw notLost(error);
    return freeze(undefined);
  }
}

/** What is there is not lost, whatever the engine said of it: whoever believed that would throw it away. */
function notLost(error: unknown): unknown {
  if (!isOpencodeToolsError(error, 'OCT_WORKSPACE_LOST')) return error;
  return new OpencodeToolsError('OCT_ENGINE_FAILED', error.message, { details: error.details, cause: error });
}

interface OpenStack {
  readonly upper: string;
  readonly lowers: readonly string[];
  readonly record: UpperRecord | undefined;
  /** What the layer may be added to. */
  readonly last: LayerSnapshot | undefined;
}

/** A frozen stack that may stand on layers that are gone. */
interface Unsure extends FrozenStack {
  readonly layers: readonly string[];
  /** What there was once the layer was made; looked at beside what is written here. */
  readonly there: Promise<ReadonlySet<string>>;
}

async function freezeOnto(
  { layers, files, flattenAt, packFrom }: Store,
  volume: string,
  { upper, lowers, record, last }: OpenStack,
  signal: AbortSignal | undefined,
): Promise<Unsure> {
  const layer = newName();
  const previous = last === undefined ? null : (record?.last?.layer ?? null);
  const mayAdd = (last?.layers.length ?? 0) < flattenAt;
  const root = record?.root ?? null;
  const onPrevious = last === undefined ? undefined : { layers: last.layers, holds: holdsOf(last) };
  // Where a record is damaged, what the lowers hold is counted.
  const lowersHold = holdsOf(await mountedOf(files, record?.on, lowers).catch(() => undefined));
  const above = { previous, onPrevious, lowersHold };
  await files.marks.begin([layer]);
  const stack = { upper, lowers };
  const archived = await layers.archive({ volume, stack, layer, ...above, mayAdd, root, packFrom, signal });
  const there = layers.names();
  there.catch(() => undefined);
  if (archived.kind === 'same') {
    await files.marks.done([layer]);
    const begun = await known(files, record?.on);
    // A volume that began empty has a top directory of its own all the same: its user's.
    const same = last ?? (begun !== undefined && isSameRoot(begun.root, root ?? plainRoot) ? begun : undefined);
    if (same !== undefined) return { ref: { ...refOf(same), addedBytes: 0 }, layers: same.layers, there };
  }
  const onto = archived.kind === 'same' ? 'lowers' : archived.onto;
  const below = await belowOf({ layers, files }, onto, last, lowers, record?.on);
  if (archived.kind === 'layer' && archived.packed) await files.savePacked(layer);
  const snapshot = await files.saveSnapshot(
    archived.kind === 'same' ? { ...below, root: root ?? plainRoot, addedBytes: 0 } : withLayer(layer, archived, below),
  );
  const frozen = { ref: refOf(snapshot), snapshot, layers: snapshot.layers, there };
  if (archived.kind === 'same') return frozen;
  const { leftOut } = archived;
  await files.saveUpper(upper, {
    on: record?.on ?? snapshot.id,
    root: root ?? archived.root,
    last: { layer, snapshot: snapshot.id },
  });
  if (archived.packed) return { ...frozen, packed: layer, leftOut };
  await files.marks.done([layer]);
  return { ...frozen, leftOut };
}

function lostFrom(volume: string, layers: readonly string[]): OpencodeToolsError {
  const what = layers.length === 1 ? 'a layer that it is made of is' : `${layers.length} layers that it is made of are`;
  return new OpencodeToolsError('OCT_WORKSPACE_LOST', `The volume ${volume} has lost its files: ${what} gone`, {
    details: { volume, layers },
  });
}

type Below = Pick<LayerSnapshot, 'layers' | 'sums' | 'entries' | 'bytes' | 'inLayers'>;

function withLayer(
  layer: string,
  { size, holds, root, digest }: Extract<Archived, { readonly kind: 'layer' }>,
  below: Below,
): Omit<LayerSnapshot, 'id' | 'digest'> {
  const { entries, bytes } = inLayersOf(below);
  return {
    layers: [layer, ...below.layers],
    sums: [digest, ...below.sums],
    root,
    ...holds,
    inLayers: { entries: entries + size.entries, bytes: bytes + size.bytes },
    addedBytes: size.bytes,
  };
}

/** What a new layer goes on top of. */
async function belowOf(
  { layers, files }: Pick<Store, 'layers' | 'files'>,
  onto: 'previous' | 'lowers' | 'nothing',
  last: LayerSnapshot | undefined,
  lowers: readonly string[],
  on: string | undefined,
): Promise<Below> {
  const nothing = { layers: [], sums: [], entries: 0, bytes: 0 };
  if (onto === 'nothing') return nothing;
  if (onto === 'previous') return last ?? nothing;
  const mounted = await mountedOf(files, on, lowers);
  if (mounted !== undefined) return mounted;
  const sums = await Promise.all(lowers.map(async (name) => (await layers.digest(name)) ?? ''));
  return { ...nothing, layers: lowers, sums };
}

/** The snapshot that an upper was mounted on; undefined where it is not known any more. */
async function mountedOf(
  files: LayerFiles,
  on: string | undefined,
  lowers: readonly string[],
): Promise<LayerSnapshot | undefined> {
  const isMounted = (one: LayerSnapshot | undefined): boolean => one?.layers.join() === lowers.join();
  const begun = await known(files, on);
  if (on === undefined || isMounted(begun)) return begun;
  // A deep stack was mounted as its one layer.
  const flat = await known(files, await files.findEqual('flat', on));
  return isMounted(flat) ? flat : undefined;
}

/** A snapshot that may not be there. */
export async function known(files: LayerFiles, id: string | undefined): Promise<LayerSnapshot | undefined> {
  return id === undefined ? undefined : files.findSnapshot(id);
}
