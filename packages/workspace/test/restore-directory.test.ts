import {
  chmodSync,
  closeSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { until } from '@opencode-tools/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openStore } from './open-store.ts';

const mebibyte = 1024 * 1024;

describe('Restoring into a directory where much is missing', () => {
  let opened: Awaited<ReturnType<typeof openStore>>;
  let tree: string;
  let back: string;

  beforeEach(async () => {
    opened = await openStore();
    [tree, back] = ['tree', 'back'].map((name) => join(opened.scratch, name)) as [string, string];
    for (const directory of [tree, back]) mkdirSync(directory);
  });

  afterEach(() => opened.close());

  const freeze = (path: string) => opened.store.freeze({ kind: 'directory', path });

  function plant(): void {
    mkdirSync(join(tree, 'sealed/inner/empty'), { recursive: true });
    writeFileSync(join(tree, 'sealed/inner/file'), 'one');
    writeFileSync(join(tree, 'sealed/--odd\nname\\'), 'two', { mode: 0o4751 });
    symlinkSync('../nowhere', join(tree, 'sealed/inner/way'));
    linkSync(join(tree, 'sealed/inner/file'), join(tree, 'twin'));
    mkdirSync(join(tree, `sealed/${'n'.repeat(120)}/${'m'.repeat(120)}`), { recursive: true });
    writeFileSync(join(tree, `sealed/${'n'.repeat(120)}/${'m'.repeat(120)}/deep`), 'three');
    const holes = openSync(join(tree, 'sealed/inner/löchrig'), 'w');
    ftruncateSync(holes, 8 * mebibyte);
    writeSync(holes, 'data', 5 * mebibyte);
    closeSync(holes);
    utimesSync(join(tree, 'sealed/inner'), 1_000_000.25, 1_000_000.25);
    chmodSync(join(tree, 'sealed/inner'), 0o555);
    chmodSync(join(tree, 'sealed'), 0o510);
  }

  it('gives all names, modes, times, links and holes', async () => {
    plant();
    const { id } = await freeze(tree);
    await opened.store.restoreDirectory(back, id);
    expect((await freeze(back)).id).toBe(id);
    expect(readdirSync(back).toSorted()).toEqual(['sealed', 'twin']);
    expect(lstatSync(join(back, 'twin')).ino).toBe(lstatSync(join(back, 'sealed/inner/file')).ino);
    expect(lstatSync(join(back, 'sealed/inner/löchrig')).blocks * 512).toBeLessThan(4 * mebibyte);
  });

  it('writes only what is missing beside what is there', async () => {
    plant();
    const { id, entries } = await freeze(tree);
    await opened.store.restoreDirectory(back, id);
    chmodSync(join(back, 'sealed'), 0o700);
    rmSync(join(back, `sealed/${'n'.repeat(120)}`), { recursive: true });
    writeFileSync(join(back, 'sealed/more'), 'more');
    const { written, removed } = await opened.store.restoreDirectory(back, id);
    expect(removed).toBe(1);
    expect(written).toBeLessThan(entries / 2);
    expect((await freeze(back)).id).toBe(id);
  });

  it('sees a file of the same size and time that another took the place of', async () => {
    const path = join(tree, 'file');
    writeFileSync(path, 'first');
    utimesSync(path, 1_000_000, 1_000_000);
    // What changed a moment ago is not trusted yet.
    await until(() => Date.now() - lstatSync(path).ctimeMs > 150);
    const first = await freeze(tree);
    writeFileSync(path, 'other');
    utimesSync(path, 1_000_000, 1_000_000);
    const second = await freeze(tree);
    expect(second.id).not.toBe(first.id);
    await opened.store.restoreDirectory(tree, first.id);
    expect((await freeze(tree)).id).toBe(first.id);
  });
});
