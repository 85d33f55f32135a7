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

  it('gives the same snapshot as reading everything, whatever changed since', async () => {
    const at = (...names: string[]) => join(tree, ...names);
    const changes: readonly (() => void)[] = [
      () => undefined,
      () => writeFileSync(at('a/inner/a.b'), 'longer than it was'),
      () => writeFileSync(at('tab\there/inner/line\nfeed'), 'tab\there/line\nFEED'),
      () => chmodSync(at('back\\slash/inner/z'), 0o600),
      () => chmodSync(at('süß'), 0o711),
      () => rmSync(at('a.b'), { recursive: true }),
      () => writeFileSync(at('a.b'), 'a file now'),
      () => renameSync(at('back\\tick'), at('a.c')),
      () => renameSync(at('a/inner/z'), at('a/inner/a.b')),
      () => rmSync(at('z/way')),
      () => symlinkSync('elsewhere', at('z/way')),
      () => rmSync(at('z/twin')),
      () => utimesSync(at('a/inner/back\\slash'), 1_000_000, 1_000_000.5),
      () => mkdirSync(at('a0/new'), { recursive: true }),
    ];
    for (const change of changes) {
      change();
      await settle();
      const { id } = await freeze();
      rmSync(join(fresh.directory, 'stat-caches'), { recursive: true, force: true });
      mkdirSync(join(fresh.directory, 'stat-caches'), { recursive: true });
      expect([change, (await freeze(fresh.store)).id]).toEqual([change, id]);
      expect((await freeze()).id).toBe(id);
    }
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
