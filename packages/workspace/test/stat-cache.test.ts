import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { until } from '@opencode-tools/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openStore } from './open-store.ts';

describe('What a scan learned', () => {
  let opened: Awaited<ReturnType<typeof openStore>>;
  let fresh: Awaited<ReturnType<typeof openStore>>;
  let tree: string;

  beforeEach(async () => {
    [opened, fresh] = await Promise.all([openStore(), openStore()]);
    tree = join(opened.scratch, 'tree');
    const odd = ['a', 'a.b', 'a-', 'tab\there', 'line\nfeed', 'back\\slash', 'back\\tick', 'süß', ' ', 'z'];
    for (const directory of odd) {
      mkdirSync(join(tree, directory, 'inner'), { recursive: true });
      for (const name of odd) writeFileSync(join(tree, directory, 'inner', name), `${directory}/${name}`);
      symlinkSync(`../${directory}\t\n\\`, join(tree, directory, 'way'));
    }
    linkSync(join(tree, 'a/inner/a'), join(tree, 'z/twin'));
  });

  afterEach(async () => {
    await Promise.all([opened.close(), fresh.close()]);
  });

  const freeze = (store = opened.store) => store.freeze({ kind: 'directory', path: tree });

  /** What changed a moment ago is not trusted yet. */
  const settle = () =>
    until(() => {
      const names = readdirSync(tree, { recursive: true }) as string[];
      return names.every((name) => Date.now() - lstatSync(join(tree, name)).ctimeMs > 150);
    });

  const changes = (): readonly (() => void)[] => {
    const at = (...names: string[]) => join(tree, ...names);
    return [
      () => undefined,
      () => writeFileSync(at('a/inner/a.b'), 'longer than it was'),
      () => writeFileSync(at('tab\there/inner/line\nfeed'), 'tab\there/line\nFEED'),
      () => chmodSync(at('back\\slash/inner/z'), 0o600),
      () => chmodSync(at('süß'), 0o711),
      () => rmSync(at('a.b'), { recursive: true }),
      () => {
        rmSync(at('a.b'), { recursive: true, force: true });
        writeFileSync(at('a.b'), 'a file now');
      },
      () => renameSync(at('back\\tick'), at('a.c')),
      () => renameSync(at('a/inner/z'), at('a/inner/a.b')),
      () => rmSync(at('z/way')),
      () => {
        rmSync(at('z/way'), { force: true });
        symlinkSync('elsewhere', at('z/way'));
      },
      () => rmSync(at('z/twin')),
      () => utimesSync(at('a/inner/back\\slash'), 1_000_000, 1_000_000.5),
      () => mkdirSync(at('a0/new'), { recursive: true }),
    ];
  };

  it('gives the same snapshot as reading everything, whatever changed since', async () => {
    for (const change of changes()) {
      change();
      await settle();
      const { id } = await freeze();
      rmSync(join(fresh.directory, 'stat-caches'), { recursive: true, force: true });
      mkdirSync(join(fresh.directory, 'stat-caches'), { recursive: true });
      expect([change, (await freeze(fresh.store)).id]).toEqual([change, id]);
      expect((await freeze()).id).toBe(id);
    }
  });

  it('gives back what a snapshot has, whatever changed since the last scan and since the one before', async () => {
    await settle();
    const { id } = await freeze();
    execFileSync('mkfifo', [join(tree, 'z/pipe')]);
    for (const [number, change] of changes().entries()) {
      if (number === 2) rmSync(join(tree, 'z/pipe'));
      await settle();
      await freeze();
      change();
      await opened.store.restoreDirectory(tree, id);
      rmSync(join(fresh.directory, 'stat-caches'), { recursive: true, force: true });
      mkdirSync(join(fresh.directory, 'stat-caches'), { recursive: true });
      expect([number, (await freeze(fresh.store)).id]).toEqual([number, id]);
      change();
      await settle();
      await freeze();
      await opened.store.restoreDirectory(tree, id);
      expect([number, (await freeze()).id]).toEqual([number, id]);
    }
  });

  it('tells of pieces of a manifest that are stored no more, and they are stored again', async () => {
    await settle();
    const { id } = await freeze();
    writeFileSync(join(tree, 'a/inner/z'), 'changed');
    await settle();
    const changed = await freeze();
    const packs = readdirSync(join(opened.directory, 'packs'));
    for (const name of packs) {
      renameSync(join(opened.directory, 'packs', name), join(opened.scratch, name));
      writeFileSync(join(tree, 'a/inner/z'), `changed ${name}`);
      await settle();
      const { id: again } = await freeze(opened.again());
      expect(await opened.again().verify(again)).toMatchObject({ id: again });
      renameSync(join(opened.scratch, name), join(opened.directory, 'packs', name));
    }
    for (const one of [id, changed.id]) expect(await opened.again().verify(one)).toMatchObject({ id: one });
  });

  it('is not trusted where the store lost what was read', async () => {
    await settle();
    const { id } = await freeze();
    rmSync(join(opened.directory, 'packs'), { recursive: true });
    mkdirSync(join(opened.directory, 'packs'));
    expect((await freeze(opened.again())).id).toBe(id);
    await opened.again().verify(id);
  });
});
