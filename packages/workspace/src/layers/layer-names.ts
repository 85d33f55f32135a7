import { randomBytes } from 'node:crypto';
import type { LayerRoot, LayerSize, SnapshotRef } from '@opencode-tools/core';
import type { LayerSnapshot } from './layer-files.ts';

export const plainRoot: LayerRoot = { mode: 0o755, uid: 0, gid: 0 };

export function refOf({ id, digest, entries, bytes, addedBytes }: LayerSnapshot): SnapshotRef {
  return { store: 'overlay', id, digest, entries, bytes, addedBytes };
}

/** What the tree of a snapshot holds; undefined where that was not counted. */
export function holdsOf(snapshot: LayerSnapshot | undefined): LayerSize | undefined {
  if (snapshot?.inLayers === undefined) return undefined;
  return { entries: snapshot.entries, bytes: snapshot.bytes };
}

/** What reading all layers of a snapshot takes. */
export function inLayersOf({
  entries,
  bytes,
  inLayers,
}: Pick<LayerSnapshot, 'entries' | 'bytes' | 'inLayers'>): LayerSize {
  return inLayers ?? { entries, bytes };
}

export function isLayered(snapshotId: string | null): boolean {
  return snapshotId?.startsWith('lay_') === true;
}

export function isContent(snapshotId: string): boolean {
  return snapshotId.startsWith('snp_');
}

/** A name for a layer or volume; short, since the names of a whole stack have to fit into one page. */
export function newName(): string {
  return BigInt(`0x${randomBytes(8).toString('hex')}`)
    .toString(36)
    .padStart(13, '0')
    .slice(-12);
}

export function isSameRoot(one: LayerRoot, other: LayerRoot): boolean {
  const isOwned = one.uid === other.uid && one.gid === other.gid;
  return isOwned && one.mode === other.mode && one.attributes === other.attributes;
}
