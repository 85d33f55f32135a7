import type { Collected, LayerPort } from '@opencode-tools/core';
import type { LayerFiles, LayerSnapshot } from './layer-files.ts';

/**
 * Removes layers that nothing needs, each only with positive evidence of what it was. The order is what makes it safe beside
 * other processes: first what there is, then what is under way, then what volumes use, and last what the caller keeps, since
 * whoever freezes a tree records it before the volume goes. What is about to be removed is noted first, so that a crash half
 * way leaves evidence for the next time.
 *
 * @param keep snapshots that checkpoints and tasks refer to
 */
export async function collectLayers(
  layers: LayerPort,
  files: LayerFiles,
  keep: () => Promise<ReadonlySet<string>>,
): Promise<Collected> {
  const recorded = await files.listUppers();
  const packed = await files.listPacked();
  const present = await layers.list();
  const snapshots = await loadAll(files);
  const uppers = await files.listUppers();
  const begun = await files.marks.list();
  const underWay = new Set(await files.marks.listUnderWay());
  const dead = new Set(begun.filter(({ name }) => !underWay.has(name)).map(({ name }) => name));
  const spares = (await files.spares.list()).filter((name) => !dead.has(name));
  const stacks = await layers.stacks();
  const inUse = new Set(stacks.flatMap(({ upper, lowers }) => [...(upper === null ? [] : [upper]), ...lowers]));
  const wanted = await wantedSnapshots(files, snapshots, { inUse, underWay, kept: await keep() });
  const needed = new Set([
    ...inUse,
    ...underWay,
    ...spares,
    ...[...wanted].flatMap((id) => snapshots.get(id)?.layers ?? []),
  ]);
  const evidence = new Set([
    ...uppers,
    ...begun.map(({ name }) => name),
    ...[...snapshots.values()].flatMap((snapshot) => snapshot.layers),
  ]);
  const idle = present.filter(({ name }) => !needed.has(name));
  const doomed = idle.filter(({ name }) => evidence.has(name));
  const names = doomed.map(({ name }) => name);
  await files.marks.begin(names);
  const dropped = [...snapshots.keys()].filter((id) => !wanted.has(id));
  for (const { name, id, equal } of await files.listEquals()) {
    const [what] = name.split('-', 1);
    if (dropped.includes(what === 'content' ? id : equal)) await files.removeEqual(name);
  }
  for (const id of dropped) await files.removeSnapshot(id);
  await files.spares.remove(names);
  await layers.remove(names);
  const there = new Set(present.map(({ name }) => name));
  const gone = recorded.filter((name) => !there.has(name));
  for (const name of new Set([...uppers.filter((upper) => names.includes(upper)), ...gone]))
    await files.removeUpper(name);
  for (const layer of packed) if (names.includes(layer) || !there.has(layer)) await files.removePacked(layer);
  await files.marks.done([
    ...names,
    ...gone,
    ...begun.map(({ name }) => name).filter((name) => !underWay.has(name) || inUse.has(name)),
  ]);
  return {
    snapshots: dropped.length,
    layers: doomed.length,
    bytes: doomed.reduce((sum, { diskBytes }) => sum + diskBytes, 0),
    unknown: idle.filter(({ name }) => !evidence.has(name)).map(({ name }) => name),
  };
}

interface Facts {
  readonly inUse: ReadonlySet<string>;
  readonly underWay: ReadonlySet<string>;
  readonly kept: ReadonlySet<string>;
}

async function wantedSnapshots(
  files: LayerFiles,
  snapshots: ReadonlyMap<string, LayerSnapshot>,
  { inUse, underWay, kept }: Facts,
): Promise<ReadonlySet<string>> {
  const wanted = new Set([...kept].filter((id) => snapshots.has(id)));
  for (const [id, { layers }] of snapshots) if (layers[0] !== undefined && underWay.has(layers[0])) wanted.add(id);
  for (const upper of inUse) {
    const record = await files.findUpper(upper);
    for (const id of [record?.on, record?.last?.snapshot]) if (id !== undefined) wanted.add(id);
  }
  for (const { name, id, equal } of await files.listEquals()) {
    if (name === 'base-empty' || (name.startsWith('base-') && kept.has(id))) wanted.add(equal);
    if (name.startsWith('flat-') && wanted.has(id)) wanted.add(equal);
  }
  return wanted;
}

async function loadAll(files: LayerFiles): Promise<ReadonlyMap<string, LayerSnapshot>> {
  const found = new Map<string, LayerSnapshot>();
  for (const id of await files.listSnapshots()) {
    const snapshot = await files.findSnapshot(id);
    if (snapshot !== undefined) found.set(id, snapshot);
  }
  return found;
}
