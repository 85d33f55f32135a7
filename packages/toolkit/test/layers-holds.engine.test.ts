import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type JsonValue, type SnapshotRef, canonicalJson } from '@opencode-tools/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LayerBed, openLayerBed, owner } from './support/layer-bed.ts';

const large = 3 * 1024 * 1024;

describe('what a snapshot of layers says that it holds', () => {
  let bed: LayerBed;
  beforeAll(async () => {
    bed = await openLayerBed();
  });
  afterAll(() => bed.remove());

  const begin = async (snapshotId: string | null): Promise<string> => {
    const volume = bed.newVolume();
    await bed.store.provision({ volume, labels: bed.labels, owner, snapshotId });
    return volume;
  };
  const edited = async (volume: string, script: string): Promise<SnapshotRef> => {
    await bed.run(volume, script);
    return bed.store.freeze({ kind: 'volume', volume });
  };
  /** As the content store counts the same tree. */
  const counted = async (volume: string) => {
    const { entries, bytes } = await bed.content.freeze({ kind: 'volume', volume });
    return { entries, bytes };
  };

  test('is what the tree holds, not what its layers do', async () => {
    const volume = await begin(null);
    for (let round = 0; round < 4; round += 1) {
      const made = await edited(volume, `head -c ${large} /dev/urandom >f`);
      expect(made).toMatchObject({ entries: 2, bytes: large, addedBytes: large });
    }
    const emptied = await edited(volume, 'rm f');
    expect(emptied).toMatchObject({ entries: 1, bytes: 0, addedBytes: 0 });
    const next = await begin(emptied.id);
    expect(await bed.store.freeze({ kind: 'volume', volume: next })).toMatchObject({ entries: 1, bytes: 0 });
  }, 300_000);

  test('is what the content store counts, whatever is hidden, replaced, moved or has several names', async () => {
    const scripts = [
      'mkdir -p a/b/c d/e; echo 1 >a/1; echo 22 >a/b/2; echo 333 >a/b/c/3; ln a/b/2 d/e/two; ln -s x d/link; : >top',
      'rm -r a/b/c; echo 4444 >d/4; mv a/1 d/one',
      'rm -r a; mkdir -p a/b; echo 55555 >a/b/5; echo 6 >top',
      'mv d moved; echo 7 >d',
      'rm moved/e/two; ln moved/4 moved/e/four; chmod 700 moved',
      'mv moved a/b/again; rm -f top; mkdir top; echo 88 >top/8',
      'rm -r a',
    ];
    let volume = await begin(null);
    for (const [at, script] of scripts.entries()) {
      const { id, entries, bytes } = await edited(volume, script);
      expect({ script, entries, bytes }).toEqual({ script, ...(await counted(volume)) });
      if (at % 2 === 1) volume = await begin(id);
    }
  }, 300_000);

  test('is right on top of one that was noted as sums', async () => {
    let volume = await begin(null);
    const old = await edited(volume, 'mkdir a; for n in 1 2 3; do echo $n >a/$n; done');
    const path = join(bed.directory, 'layers', 'snapshots', old.id);
    const { inLayers: _, ...record } = JSON.parse((await readFile(path, 'utf8')).split('\n')[1] ?? '') as Record<
      string,
      JsonValue
    >;
    const body = canonicalJson({ ...record, entries: 77, bytes: 7_777 });
    await writeFile(path, `${createHash('sha256').update(body).digest('hex')}\n${body}\n`);
    expect(await edited(volume, 'rm a/1; echo 44 >a/4')).toMatchObject({ entries: 5, bytes: 7 });
    volume = await begin(old.id);
    const over = await edited(volume, 'echo 55 >b; rm -r a');
    expect(over).toMatchObject({ entries: 2, bytes: 3 });
    expect(await edited(volume, 'echo 6 >c')).toMatchObject({ entries: 3, bytes: 5 });
  }, 300_000);
});
