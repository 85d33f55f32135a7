import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { KnownPack } from './blob-index.ts';
import type { LiveBlobs } from './live-blobs.ts';
import type { BlobPlace } from './pack-format.ts';
import type { Pacer } from './pacer.ts';
import type { StoreParts } from './store-parts.ts';

/** So much is packed in one collection, and the rest in later ones: until the old packs are removed both are there. */
const mostBytes = 1024 ** 3;

/** A pack, and what of it is needed. */
export interface NeededPack {
  readonly pack: KnownPack;
  readonly needed: readonly BlobPlace[];
}

export interface ChosenPacks {
  /** To be written anew without what is not needed, or in less space. */
  readonly packs: readonly NeededPack[];
  /** Whether a blob that is copied is stored in less space. */
  readonly isPacked: (place: BlobPlace) => boolean;
}

/**
 * Chooses the packs that are written anew: those less than half needed and, with an age, those that were written before it and
 * mostly hold what no snapshot frozen or asked for since then has. Pieces of manifests are never packed again: collections read them.
 *
 * @param packAfterMs undefined for no packing
 */
export async function choosePacks(
  { layout, snapshots }: StoreParts,
  all: readonly NeededPack[],
  live: LiveBlobs,
  packAfterMs: number | undefined,
  pacer: Pacer,
): Promise<ChosenPacks> {
  const sparse = all.filter(
    ({ pack, needed }) => needed.length > 0 && bytesOf(needed) * 2 < bytesOf(pack.places ?? []),
  );
  if (packAfterMs === undefined) return { packs: sparse, isPacked: ({ packed }) => packed };
  const since = Date.now() - packAfterMs;
  const pieces = live.pieces();
  const warm = await live.of(await snapshots.usedSince(since), pacer);
  const isCold = ({ digest }: BlobPlace): boolean => !warm.has(digest) && !pieces.has(digest);
  const chosen = new Set(sparse);
  let bytes = 0;
  for (const one of all) {
    const cold = bytesOf(one.needed.filter((place) => !place.packed && isCold(place)));
    if (chosen.has(one) || cold === 0 || cold * 2 < bytesOf(one.needed)) continue;
    const facts = await stat(join(layout.packs, one.pack.name)).catch(() => undefined);
    if (facts === undefined || facts.mtimeMs > since || (bytes > 0 && bytes + cold > mostBytes)) continue;
    bytes += cold;
    chosen.add(one);
  }
  return { packs: [...chosen], isPacked: (place) => place.packed || isCold(place) };
}

/** Bytes in packs. */
export function bytesOf(places: readonly BlobPlace[]): number {
  return places.reduce((sum, { stored }) => sum + stored, 0);
}
