import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BlobIndex } from '../src/blob-index.ts';
import { BlobReader } from '../src/blob-reader.ts';
import { PackWriter } from '../src/pack-writer.ts';
import { type StoreLayout, createLayout, layoutOf } from '../src/store-files.ts';

const mebibyte = 1024 * 1024;

describe('A pack', () => {
  let root: string;
  let layout: StoreLayout;

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'oct-pack-'));
    layout = layoutOf(root);
    await createLayout(layout);
  });

  afterEach(() => rmSync(root, { recursive: true, force: true }));

  function put(pack: PackWriter, bytes: Buffer, parts = [bytes]): { digest: string; size: number; bytes: Buffer } {
    const digest = createHash('sha256').update(bytes).digest('hex');
    const from = pack.position;
    for (const part of parts) pack.append(part);
    pack.record(digest, from);
    return { digest, size: bytes.length, bytes };
  }

  async function holds(blobs: readonly { digest: string; size: number; bytes: Buffer }[]): Promise<boolean> {
    const index = new BlobIndex(layout, silentLogger);
    await index.refresh();
    using reader = new BlobReader(index, 'snp_test');
    return blobs.every(({ digest, size, bytes }) => reader.read({ path: digest, digest, size }).equals(bytes));
  }

  it('keeps its bytes while full buffers are written in the background', async () => {
    const pack = new PackWriter(layout);
    const blobs = Array.from({ length: 60 }, (_, at) => put(pack, randomBytes(mebibyte + at)));
    await pack.finish();
    expect(await holds(blobs)).toBe(true);
    expect(await holds(blobs.toReversed())).toBe(true);
  });

  it('takes back what was already on its way to the disk', async () => {
    const pack = new PackWriter(layout);
    const kept = [put(pack, randomBytes(3 * mebibyte))];
    for (let round = 0; round < 5; round += 1) {
      const from = pack.position;
      for (let part = 0; part < 20; part += 1) pack.append(randomBytes(mebibyte));
      await pack.rewind(from);
      kept.push(put(pack, randomBytes(9_000 + round)), put(pack, randomBytes(2 * mebibyte)));
    }
    await pack.finish();
    expect(await holds(kept)).toBe(true);
  });

  it('has what is larger than half a buffer behind what came before it', async () => {
    const pack = new PackWriter(layout);
    const blobs = [put(pack, randomBytes(100)), put(pack, randomBytes(3 * mebibyte)), put(pack, randomBytes(100))];
    await pack.finish();
    expect(await holds(blobs)).toBe(true);
  });

  it('leaves no trace when it is discarded while it is written', async () => {
    const pack = new PackWriter(layout);
    for (let at = 0; at < 20; at += 1) put(pack, randomBytes(mebibyte));
    await pack.discard();
    expect(readdirSync(layout.packs)).toEqual([]);
    expect(readdirSync(layout.temporary)).toEqual([]);
  });
});
