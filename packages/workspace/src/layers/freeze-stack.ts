import type { LayerPort, LeftOut, SnapshotRef } from '@opencode-tools/core';
import type { LayerFiles, LayerSnapshot } from './layer-files.ts';
import { isSameRoot, newName, plainRoot, refOf } from './layer-names.ts';

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

/** Archives what changed in a mounted stack as a layer, and saves the snapshot that it makes of those below. */
export async function freezeStack(
  { layers, files, flattenAt, packFrom }: Store,
  volume: string,
  stack: { readonly upper: string; readonly lowers: readonly string[] },
  signal: AbortSignal | undefined,
): Promise<FrozenStack> {
  const record = await files.findUpper(stack.upper);
  const last = record?.last ? await files.findSnapshot(record.last.snapshot) : undefined;
  const layer = newName();
  const previous = last === undefined ? null : (record?.last?.layer ?? null);
  const mayAdd = (last?.layers.length ?? 0) < flattenAt;
  const root = record?.root ?? null;
  await files.marks.begin([layer]);
  const archived = await layers.archive({ volume, stack, layer, previous, mayAdd, root, packFrom, signal });
  if (archived.kind === 'same') {
    await files.marks.done([layer]);
    const begun = await known(files, record?.on);
    // A volume that began empty has a top directory of its own all the same: its user's.
    const same = last ?? (begun !== undefined && isSameRoot(begun.root, root ?? plainRoot) ? begun : undefined);
    if (same !== undefined) return { ref: { ...refOf(same), addedBytes: 0 } };
  }
  const made =
    archived.kind === 'same'
      ? { onto: 'lowers' as const, size: { entries: 0, bytes: 0 }, root: root ?? plainRoot, digest: '', packed: false }
      : archived;
  const below = await belowOf({ layers, files }, made.onto, last, stack.lowers, record?.on);
  const beneath = made.onto === 'previous' ? last : made.onto === 'lowers' ? await known(files, record?.on) : undefined;
  if (made.packed) await files.savePacked(layer);
  const snapshot = await files.saveSnapshot({
    layers: archived.kind === 'same' ? below.layers : [layer, ...below.layers],
    sums: archived.kind === 'same' ? below.sums : [made.digest, ...below.sums],
    root: made.root,
    entries: made.size.entries + (beneath?.entries ?? 0),
    bytes: made.size.bytes + (beneath?.bytes ?? 0),
    addedBytes: made.size.bytes,
  });
  if (archived.kind === 'layer') {
    const on = record?.on ?? snapshot.id;
    await files.saveUpper(stack.upper, {
      on,
      root: root ?? made.root,
      last: { layer, snapshot: snapshot.id },
    });
    if (made.packed) return { ref: refOf(snapshot), snapshot, packed: layer, leftOut: archived.leftOut };
    await files.marks.done([layer]);
  }
  return { ref: refOf(snapshot), snapshot, leftOut: archived.kind === 'layer' ? archived.leftOut : undefined };
}

/** What a new layer goes on top of, and what is in each of these. */
async function belowOf(
  { layers, files }: Pick<Store, 'layers' | 'files'>,
  onto: 'previous' | 'lowers' | 'nothing',
  last: LayerSnapshot | undefined,
  lowers: readonly string[],
  on: string | undefined,
): Promise<Pick<LayerSnapshot, 'layers' | 'sums'>> {
  if (onto === 'nothing') return { layers: [], sums: [] };
  if (onto === 'previous') return last ?? { layers: [], sums: [] };
  const stacked = await known(files, on);
  // A deep stack was mounted as its one layer.
  const flat = on === undefined ? undefined : await known(files, await files.findEqual('flat', on));
  const same = [stacked, flat].find((one) => one?.layers.join() === lowers.join());
  if (same !== undefined) return same;
  return { layers: lowers, sums: await Promise.all(lowers.map(async (name) => (await layers.digest(name)) ?? '')) };
}

/** A snapshot that may not be there. */
export async function known(files: LayerFiles, id: string | undefined): Promise<LayerSnapshot | undefined> {
  return id === undefined ? undefined : files.findSnapshot(id);
}
