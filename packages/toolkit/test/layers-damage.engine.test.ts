import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LayerBed, openLayerBed, owner } from './support/layer-bed.ts';

/** What may become of a layer on the engine; in the directory of its tree. */
const damage: readonly (readonly [string, string])[] = [
  ['a byte of a file', 'printf X | dd of=dir/file bs=1 seek=2 conv=notrunc status=none; touch -d @1000000000 dir/file'],
  ['the end of a file', 'truncate -s 3 dir/file; touch -d @1000000000 dir/file'],
  ['all of a file', ': >dir/file'],
  ['a file that is gone', 'rm dir/file'],
  ['a file that is new', 'echo new >dir/new'],
  ['a name', 'mv dir/file dir/other'],
  ['a mode', 'chmod 600 dir/file'],
  ['an owner', 'chown 7:7 dir/file'],
  ['a time', 'touch -d @1000000001 dir/file'],
  ['the target of a link', 'ln -sfn elsewhere link'],
  ['the kind of an entry', 'rm link; mkdir link'],
  ['two files in each other’s place', 'mv dir/file x; mv dir/second dir/file; mv x dir/second'],
  [
    'an attribute by which an overlay hides',
    'setfattr -n trusted.overlay.opaque -v y dir 2>/dev/null || chmod 701 dir',
  ],
  ['a name that is hidden', 'rm -f gone; mknod gone2 c 0 0'],
  ['the mode of the top directory', 'chmod 711 .'],
  ['everything', 'rm -rf ./* '],
];

describe('damage to what a snapshot of layers is made of', () => {
  let bed: LayerBed;
  let id: string;
  let volume: string;
  let layer: string;

  beforeAll(async () => {
    bed = await openLayerBed();
    volume = bed.newVolume();
    await bed.store.provision({ volume, labels: bed.labels, owner, snapshotId: null });
    const plant = 'mkdir dir; echo first >dir/file; echo second >dir/second; ln -s dir/file link; echo x >gone';
    await bed.run(volume, `${plant}; touch -d @1000000000 dir/file dir/second`);
    await bed.store.freeze({ kind: 'volume', volume });
    await bed.run(volume, 'rm gone; echo more >>dir/second; touch -d @1000000000 dir/file; echo 3 >third');
    ({ id } = await bed.store.freeze({ kind: 'volume', volume }));
    await bed.store.settle();
    const record = JSON.parse(
      (await readFile(join(bed.directory, 'layers', 'snapshots', id), 'utf8')).split('\n')[1] ?? '',
    );
    const { layers } = record as { layers: readonly string[] };
    // The lowest layer but the empty one holds the first tree.
    layer = layers.at(-2) ?? '';
  }, 600_000);
  afterAll(() => bed.remove());

  /** What verifying says; null for nothing. */
  const fault = async (): Promise<unknown> =>
    bed.store.verify(id).then(
      () => null,
      (error: unknown) => (error as { readonly code?: unknown }).code,
    );

  test.each(damage)(
    'is noticed: %s',
    async (_, script) => {
      await bed.run(bed.layersVolume, `cp -a ${layer} kept; cd ${layer}/d; ${script}`);
      expect(await fault()).toBe('OCT_CHECKPOINT_CORRUPT');
      await bed.run(bed.layersVolume, `rm -rf ${layer}; mv kept ${layer}`);
      expect(await fault()).toBe(null);
    },
    600_000,
  );

  test('is noticed in the layer without content, in the highest, and where one is gone', async () => {
    const record = await readFile(join(bed.directory, 'layers', 'snapshots', id), 'utf8');
    const { layers } = JSON.parse(record.split('\n')[1] ?? '') as { layers: readonly string[] };
    for (const one of [layers[0] ?? '', layers.at(-1) ?? '']) {
      for (const change of [`echo planted >${one}/d/planted`, `mv ${one} elsewhere`, `chmod 700 ${one}/d`]) {
        await bed.run(bed.layersVolume, `cp -a ${one} kept; ${change}`);
        expect(await fault()).toBe('OCT_CHECKPOINT_CORRUPT');
        await bed.run(bed.layersVolume, `rm -rf ${one} elsewhere; mv kept ${one}`);
      }
    }
    expect(await fault()).toBe(null);
  }, 600_000);

  test('is noticed in the record, whatever became of it', async () => {
    const folder = join(bed.directory, 'layers', 'snapshots');
    const path = join(folder, id);
    const whole = await readFile(path);
    const [another = ''] = (await readdir(folder)).filter((name) => name !== id);
    const changed = [
      Buffer.alloc(0),
      whole.subarray(0, whole.length / 2),
      whole.subarray(1),
      await readFile(join(folder, another)),
      Buffer.from('{}\n'),
      ...Array.from({ length: 40 }, (_, at) => flipped(whole, Math.floor((at * (whole.length - 2)) / 40))),
    ];
    for (const bytes of changed) {
      await writeFile(path, bytes);
      expect(await fault()).toBe('OCT_CHECKPOINT_CORRUPT');
    }
    await rm(path);
    expect(await fault()).toBe('OCT_CHECKPOINT_CORRUPT');
    await writeFile(path, whole);
    expect(await fault()).toBe(null);
  }, 600_000);
});

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}
