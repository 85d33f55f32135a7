import { type LayerPort, type SnapshotRef } from '@opencode-tools/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LayerBed, openLayerBed, owner } from './support/layer-bed.ts';
import { docker } from './support/volume-model.ts';

/** Layers whose digest was asked for. */
const read: string[] = [];

function noting(layers: LayerPort): LayerPort {
  return new Proxy(layers, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        if (name === 'digest') read.push(String(args[0]));
        return Reflect.apply(value, target, args) as unknown;
      };
    },
  });
}

let bed: LayerBed;
let snapshots: readonly SnapshotRef[];
beforeAll(async () => {
  bed = await openLayerBed(undefined, ({ layers, volumes }) => ({ volumes, layers: noting(layers) }));
  const volume = bed.newVolume();
  await bed.store.provision({ volume, labels: bed.labels, owner, snapshotId: null });
  const made: SnapshotRef[] = [];
  for (const script of ['echo 1 >a', 'echo 2 >a', 'echo 3 >b', 'rm a; mkdir c']) {
    await bed.run(volume, script);
    made.push(await bed.store.freeze({ kind: 'volume', volume }));
  }
  await bed.store.settle();
  snapshots = made;
}, 300_000);
afterAll(() => bed.remove());

test('one look at many snapshots reads each layer once, in one container', async () => {
  const from = await docker('info', '--format', '{{.SystemTime}}');
  const already = new Map<string, Promise<string | undefined>>();
  for (const { id } of snapshots) expect(await bed.store.verify(id, already)).toMatchObject({ id });
  expect(read.length).toBeGreaterThan(snapshots.length);
  expect(new Set(read).size).toBe(read.length);
  const filters = ['--filter', 'event=create', '--filter', `label=io.opencode-tools.home=${bed.homeId}`];
  const until = await docker('info', '--format', '{{.SystemTime}}');
  const events = await docker('events', '--since', from, '--until', until, '--filter', 'type=container', ...filters);
  expect(events.split('\n').filter(Boolean)).toHaveLength(1);
});

test('another look reads all again', async () => {
  read.length = 0;
  for (const { id } of snapshots) await bed.store.verify(id);
  expect(new Set(read).size).toBeLessThan(read.length);
});

test('a damaged layer is noticed in each snapshot that has it, and one that is gone', async () => {
  const layer = read[0] ?? '';
  const faults = async () => {
    const already = new Map<string, Promise<string | undefined>>();
    return Promise.all(
      snapshots.map(({ id }) =>
        bed.store.verify(id, already).then(
          () => null,
          (error: unknown) => (error as { readonly code?: unknown }).code,
        ),
      ),
    );
  };
  expect(await faults()).toEqual(snapshots.map(() => null));
  for (const change of [`echo more >${layer}/d/more`, `rm -rf ${layer}/d`, `mv ${layer} elsewhere`]) {
    await bed.run(bed.layersVolume, `cp -a ${layer} kept; ${change}`);
    const found = await faults();
    expect({ change, found: found.filter(Boolean).length > 0 }).toEqual({ change, found: true });
    expect(found.every((code) => code === null || code === 'OCT_CHECKPOINT_CORRUPT')).toBe(true);
    await bed.run(bed.layersVolume, `rm -rf ${layer} elsewhere; mv kept ${layer}`);
  }
  expect(await faults()).toEqual(snapshots.map(() => null));
});
