import type { LayerPort, MissingTrees } from '@opencode-tools/core';
import type { ContentStore } from '../content-store-contract.ts';
import type { LayerFiles, LayerSnapshot } from './layer-files.ts';
import type { LayerMaker } from './layer-maker.ts';
import { isLayered } from './layer-names.ts';
import type { LayerStock } from './layer-stock.ts';

interface Parts {
  readonly content: ContentStore;
  readonly files: LayerFiles;
  readonly maker: LayerMaker;
}

/**
 * The same tree as that of a snapshot that has lost a layer, made of what is left: nothing for an empty one, else its content on this host.
 *
 * @returns undefined where nothing of it is left
 */
export async function standIn(
  parts: Parts,
  snapshot: LayerSnapshot,
  signal: AbortSignal | undefined,
): Promise<LayerSnapshot | undefined> {
  const empty = await emptyAs(parts, snapshot);
  if (empty !== undefined) return empty;
  const content = await contentLeft(parts, snapshot);
  return content === undefined ? undefined : parts.maker.based(content, signal);
}

/** A snapshot of the content store that has the tree. */
export async function contentLeft({ content, files }: Parts, { id }: LayerSnapshot): Promise<string | undefined> {
  const equal = await files.findEqual('content', id);
  return equal !== undefined && (await content.has(equal)) ? equal : undefined;
}

/** Says what of the snapshots and volumes is gone, without reading what is there. */
export async function findMissing(
  parts: Parts & { readonly layers: LayerPort; readonly stock: LayerStock },
  { snapshotIds, volumes }: Parameters<ContentStore['missing']>[0],
): Promise<MissingTrees> {
  const { content, files, layers, stock } = parts;
  const { snapshots: fromContent } = await content.missing({
    snapshotIds: snapshotIds.filter((id) => !isLayered(id)),
    volumes: [],
  });
  const snapshots = new Map(fromContent);
  const layered = snapshotIds.filter(isLayered);
  const stacks = await Promise.all(volumes.map(async (volume) => ({ volume, stack: await layers.stackOf(volume) })));
  const stacked = stacks.filter(({ stack }) => stack !== undefined);
  if (layered.length === 0 && stacked.length === 0) return { snapshots, volumes: new Set() };
  const there = await stock.take();
  const isGone = (layer: string): boolean => !there.has(layer);
  for (const id of layered) {
    const snapshot = await files.findSnapshot(id).catch(() => undefined);
    const layer = snapshot?.layers.find(isGone);
    if (snapshot === undefined) snapshots.set(id, 'its record is missing or damaged');
    else if (layer !== undefined && !(await isLeft(parts, snapshot)))
      snapshots.set(id, `its layer ${layer} is gone from the engine`);
  }
  const lost = stacked.filter(({ stack }) => [stack?.upper ?? [], stack?.lowers ?? []].flat().some(isGone));
  return { snapshots, volumes: new Set(lost.map(({ volume }) => volume)) };
}

async function isLeft(parts: Parts, snapshot: LayerSnapshot): Promise<boolean> {
  return (await emptyAs(parts, snapshot)) !== undefined || (await contentLeft(parts, snapshot)) !== undefined;
}

/** A tree without content is known by its one layer's digest. */
async function emptyAs({ maker }: Parts, { sums, root }: LayerSnapshot): Promise<LayerSnapshot | undefined> {
  if (sums.length !== 1) return undefined;
  const empty = await maker.empty();
  return sums[0] === empty.sums[0] ? { ...empty, root } : undefined;
}
