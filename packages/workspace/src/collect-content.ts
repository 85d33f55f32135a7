import { readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type Collected, isOpencodeToolsError } from '@opencode-tools/core';
import type { BlobIndex, KnownPack } from './blob-index.ts';
import { BlobReader } from './blob-reader.ts';
import { type ChosenPacks, bytesOf, choosePacks } from './choose-packs.ts';
import { errnoOf } from './failures.ts';
import { LiveBlobs } from './live-blobs.ts';
import type { BlobPlace } from './pack-format.ts';
import { PackWriter } from './pack-writer.ts';
import { packBlob } from './packed-blob.ts';
import { type Pacer, createPacer } from './pacer.ts';
import type { StoreParts } from './store-parts.ts';
import type { StoreUses } from './store-uses.ts';

/** What was frozen or asked for within this time stays, since a record may be about to name it. */
const graceMs = 60 * 60_000;
/** How long a collection waits for work that began before it; what it condemned is removed by the next one else. */
const waitMs = 5_000;
const pollMs = 20;
const none: Collected = { snapshots: 0, layers: 0, bytes: 0, unknown: [] };

export interface CollectContentOptions {
  /** Milliseconds; default one hour. */
  readonly graceMs?: number;
  /** Milliseconds; default 5,000. */
  readonly waitMs?: number;
  /** Age at which content that nothing recent has is stored in less space; by default none is. */
  readonly packAfterMs?: number;
}

/**
 * Removes snapshots that nothing needs, and the packs that only they needed; a pack that is less than half needed is written
 * anew without the rest, and one that is old in less space. One process collects at a time.
 *
 * A pack is condemned before it is removed: from then on whatever is frozen counts its blobs as absent and stores them again.
 * Once all work that began before has ended, nothing new can rely on it, and it is looked up once more whether something does.
 * A crash between any two steps leaves a store that is whole, and marks that the next collection goes on from.
 *
 * @param keep ids of the snapshots that records name; called after the snapshots were listed
 */
export async function collectContent(
  store: StoreParts,
  keep: () => Promise<ReadonlySet<string>>,
  options: CollectContentOptions = {},
): Promise<Collected> {
  const steps = collectionSteps(store, keep, options);
  for (;;) {
    const step = await steps.next();
    if (step.done === true) return step.value;
  }
}

/** The steps of a collection, each done when it is yielded. */
export async function* collectionSteps(
  store: StoreParts,
  keep: () => Promise<ReadonlySet<string>>,
  options: CollectContentOptions = {},
): AsyncGenerator<string, Collected> {
  await using collection = await store.uses.beginCollection();
  if (collection === undefined) return none;
  const pacer = createPacer(undefined);
  const live = new LiveBlobs(store.snapshots, store.index);
  let snapshots = 0;
  for await (const removed of removeSnapshots(store, keep, options)) {
    snapshots += removed;
    yield 'snapshot';
  }
  try {
    const written = yield* condemn(store, live, options.packAfterMs, pacer);
    if (!(await othersEnded(store.uses, options.waitMs ?? waitMs))) return { ...none, snapshots };
    yield 'waited';
    const needed = await live.of(await store.snapshots.list(), pacer);
    let bytes = 0;
    for await (const size of removeCondemned(store, needed)) {
      bytes += size;
      yield 'pack';
    }
    return { ...none, snapshots, bytes: Math.max(0, bytes - written) };
  } catch (error) {
    if (!isOpencodeToolsError(error, 'OCT_CHECKPOINT_CORRUPT')) throw error;
    const { snapshotId } = error.details;
    return { ...none, snapshots, unknown: typeof snapshotId === 'string' ? [snapshotId] : [] };
  }
}

/** A manifest is moved aside before it is looked at for the last time: who asks for it from then on writes it anew. */
async function* removeSnapshots(
  { layout, seeds }: StoreParts,
  keep: () => Promise<ReadonlySet<string>>,
  options: CollectContentOptions,
): AsyncGenerator<0 | 1> {
  const oldest = Date.now() - (options.graceMs ?? graceMs);
  const left = await readdir(layout.leaving);
  const present = (await readdir(layout.snapshots)).filter((name) => name.endsWith('.manifest'));
  const kept = new Set([...(await keep()), ...(await seeds.wanted())].map((id) => `${id}.manifest`));
  for (const name of new Set([...left, ...present])) {
    const [here, aside] = [join(layout.snapshots, name), join(layout.leaving, name)];
    const isLeaving = left.includes(name) && !present.includes(name);
    if (!isLeaving && (kept.has(name) || (await stat(here)).mtimeMs > oldest)) {
      await rm(aside, { force: true });
      continue;
    }
    if (!isLeaving) {
      await rename(here, aside);
      yield 0;
    }
    if (kept.has(name) || (await stat(aside)).mtimeMs > oldest) await rename(aside, here);
    else {
      await rm(aside, { force: true });
      yield 1;
    }
  }
  await seeds.forgetLost();
}

/**
 * Condemns the packs that nothing needs, and those that `choosePacks` names once what is needed was copied.
 *
 * @returns bytes that were written
 */
async function* condemn(
  store: StoreParts,
  blobs: LiveBlobs,
  packAfterMs: number | undefined,
  pacer: Pacer,
): AsyncGenerator<string, number> {
  const { layout, index } = store;
  const live = await blobs.of(await store.snapshots.list(), pacer);
  const rest = index.packs().map((pack) => ({ pack, needed: neededOf(index, pack, live) }));
  const { moved, written } = await rewrite(store, await choosePacks(store, rest, blobs, packAfterMs, pacer), pacer);
  yield 'rewritten';
  for (const { pack, needed } of rest) {
    if (pack.places === undefined || (needed.length > 0 && !moved.has(pack))) continue;
    await writeFile(join(layout.condemned, pack.name), '', { mode: 0o600 });
    yield 'condemned';
  }
  return written;
}

type Places = NonNullable<KnownPack['places']>;

/**
 * Copies what is needed of packs into a new one. On a full disk it does so for as few as there is room for, those first of which
 * the least is needed: what goes then makes room for the others.
 *
 * @returns the packs that nothing is needed of any more, and the bytes that were written
 */
async function rewrite(
  { layout, index }: StoreParts,
  { packs, isPacked }: ChosenPacks,
  pacer: Pacer,
): Promise<{ readonly moved: ReadonlySet<KnownPack>; readonly written: number }> {
  let some = packs.toSorted((one, other) => bytesOf(one.needed) - bytesOf(other.needed));
  for (; some.length > 0; some = some.slice(0, Math.floor(some.length / 2))) {
    const moved = new Set<KnownPack>();
    const writer = new PackWriter(layout);
    try {
      for (const { pack, needed } of some) if (await copyBlobs(index, needed, writer, isPacked, pacer)) moved.add(pack);
      return { moved, written: await writer.finish() };
    } catch (error) {
      await writer.discard();
      if (!['ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '')) throw error;
    }
  }
  return { moved: new Set(), written: 0 };
}

/** What of a pack is needed and read from it. */
function neededOf(index: BlobIndex, { name, places = [] }: KnownPack, live: ReadonlySet<string>): Places {
  return places.filter(({ digest }) => live.has(digest) && index.find(digest)?.pack.endsWith(`/${name}`) === true);
}

/** @returns false, and nothing is copied, when a byte of it is not what it was: then the pack stays for who looks into it */
async function copyBlobs(
  index: BlobIndex,
  places: Places,
  writer: PackWriter,
  isPacked: ChosenPacks['isPacked'],
  pacer: Pacer,
): Promise<boolean> {
  const began = writer.position;
  const copied: { readonly place: BlobPlace; readonly packs: boolean; readonly from: number; readonly to: number }[] =
    [];
  using blobs = new BlobReader(index, 'in a pack');
  try {
    for (const place of places) {
      const { digest, length } = place;
      const packs = length > 0 && isPacked(place);
      const from = writer.position;
      const parts = blobs.chunks({ path: digest, digest, size: length });
      for (const bytes of packs ? packBlob(parts) : parts) {
        writer.append(bytes);
        if (pacer.due()) await pacer.rest();
      }
      copied.push({ place, packs, from, to: writer.position });
      await pacer.rest();
    }
  } catch (error) {
    if (!isOpencodeToolsError(error, 'OCT_CHECKPOINT_CORRUPT')) throw error;
    await writer.rewind(began);
    return false;
  }
  for (const { place, packs, from, to } of copied) {
    if (packs) writer.recordPacked(place.digest, from, to, place.length);
    else writer.record(place.digest, from, to);
  }
  return true;
}

async function othersEnded(uses: StoreUses, limitMs: number): Promise<boolean> {
  const before = await uses.current();
  const end = Date.now() + limitMs;
  for (;;) {
    const current = new Set(await uses.current());
    if (!before.some((name) => current.has(name))) return true;
    if (Date.now() >= end) return false;
    await setTimeout(pollMs);
  }
}

/** Removes each condemned pack, or lets it stay when a snapshot needs a blob that is nowhere else. */
async function* removeCondemned({ layout, index }: StoreParts, live: ReadonlySet<string>): AsyncGenerator<number> {
  const condemned = new Set(await readdir(layout.condemned));
  const packs = index.packs();
  const lasting = new Set(packs.filter(({ name }) => !condemned.has(name)).flatMap(digestsOf));
  for (const name of condemned) {
    const pack = packs.find((known) => known.name === name);
    const digests = pack === undefined ? [] : digestsOf(pack);
    const mark = join(layout.condemned, name);
    if (
      pack !== undefined &&
      (pack.places === undefined || digests.some((one) => live.has(one) && !lasting.has(one)))
    ) {
      for (const digest of digests) lasting.add(digest);
      await rm(mark, { force: true });
      continue;
    }
    const path = join(layout.packs, name);
    const size = await stat(path).then(
      (facts) => facts.size,
      () => 0,
    );
    await rm(path, { force: true });
    yield size;
    await rm(mark, { force: true });
  }
}

function digestsOf({ places }: KnownPack): readonly string[] {
  return (places ?? []).map(({ digest }) => digest);
}
