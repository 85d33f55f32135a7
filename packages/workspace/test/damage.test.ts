import { mkdirSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AlreadyRead } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStore } from './open-store.ts';

describe('a store whose files were damaged', () => {
  let opened: Awaited<ReturnType<typeof openStore>>;
  let id: string;
  let tree: string;
  beforeEach(async () => {
    opened = await openStore();
    tree = join(opened.scratch, 'tree');
    mkdirSync(join(tree, 'inner'), { recursive: true });
    for (const name of ['a', 'b', 'inner/c']) writeFileSync(join(tree, name), `content of ${name}`);
    ({ id } = await opened.store.freeze({ kind: 'directory', path: tree }));
  });
  afterEach(() => opened.close());

  test('is noticed by verify for every byte of every file', async () => {
    const files = ['packs', 'snapshots'].flatMap((folder) =>
      readdirSync(join(opened.directory, folder)).map((name) => join(opened.directory, folder, name)),
    );
    expect(files.length).toBeGreaterThanOrEqual(2);
    for (const file of files) {
      const sound = readFileSync(file);
      for (let at = 0; at < sound.length; at += 1) {
        const bad = Buffer.from(sound);
        bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8));
        writeFileSync(file, bad);
        const { store } = reopen();
        await expect(store.verify(id), `byte ${at} of ${file}`).rejects.toMatchObject({
          code: 'OCT_CHECKPOINT_CORRUPT',
        });
      }
      writeFileSync(file, sound);
    }
    expect(await reopen().store.verify(id)).toMatchObject({ id });
  });

  test('names the path whose bytes changed', async () => {
    const [pack = ''] = readdirSync(join(opened.directory, 'packs'));
    const file = join(opened.directory, 'packs', pack);
    const bytes = readFileSync(file);
    bytes[bytes.indexOf('content of b')] = 0;
    writeFileSync(file, bytes);
    await expect(reopen().store.verify(id)).rejects.toMatchObject({
      code: 'OCT_CHECKPOINT_CORRUPT',
      details: { path: 'b' },
    });
  });

  test('is looked for once in what several snapshots share', async () => {
    writeFileSync(join(tree, 'd'), 'content of d');
    const next = await opened.store.freeze({ kind: 'directory', path: tree });
    const already: AlreadyRead = new Map();
    await reopen().store.verify(id, already);
    for (const name of readdirSync(join(opened.directory, 'packs'))) {
      const file = join(opened.directory, 'packs', name);
      const bytes = readFileSync(file);
      if (!bytes.includes('content of b')) continue;
      bytes[bytes.indexOf('content of b')] = 0;
      writeFileSync(file, bytes);
    }
    const { store } = reopen();
    await expect(store.verify(next.id)).rejects.toMatchObject({ details: { path: 'b' } });
    await expect(store.verify(next.id, already)).resolves.toMatchObject({ id: next.id });
  });

  test('gives nothing out: neither a directory nor a volume is left half made', async () => {
    const [pack = ''] = readdirSync(join(opened.directory, 'packs'));
    truncateSync(join(opened.directory, 'packs', pack), 20);
    const { store } = reopen();
    const copy = join(opened.scratch, 'copy');
    await expect(store.restoreDirectory(copy, id)).rejects.toMatchObject({ code: 'OCT_CHECKPOINT_CORRUPT' });
    const volume = opened.volumeName();
    await expect(
      store.provision({ volume, labels: {}, owner: { uid: 0, gid: 0 }, snapshotId: id }),
    ).rejects.toMatchObject({ code: 'OCT_CHECKPOINT_CORRUPT' });
    expect(readdirSync(opened.scratch)).toEqual(['tree']);
    expect(await opened.volumes.find(volume)).toBeUndefined();
  });

  test('heals when the same tree is frozen again', async () => {
    for (const name of readdirSync(join(opened.directory, 'packs'))) rmSync(join(opened.directory, 'packs', name));
    const { store } = reopen();
    await expect(store.verify(id)).rejects.toMatchObject({ code: 'OCT_CHECKPOINT_CORRUPT' });
    await store.freeze({ kind: 'directory', path: tree });
    expect(await store.verify(id)).toMatchObject({ id });
  });

  function reopen() {
    return { store: opened.again() };
  }
});
