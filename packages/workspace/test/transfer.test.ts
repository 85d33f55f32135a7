import * as fs from 'node:fs';
import { join } from 'node:path';
import { type AdmittedTree, type SnapshotRef, isOpencodeToolsError } from '@opencode-tools/core';
import { applyTreeActions, treeActions } from '@opencode-tools/testkit';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { manifestDigest } from '../src/manifest.ts';
import { encodeHeader, endOfArchive } from '../src/tar-header.ts';
import { paddingOf } from '../src/tar-member.ts';
import type { TreeEntry } from '../src/tree-entry.ts';
import { openStore } from './open-store.ts';

type TarMember = Parameters<typeof encodeHeader>[0];

let here: Awaited<ReturnType<typeof openStore>>;
let there: Awaited<ReturnType<typeof openStore>>;
let tree: string;

beforeEach(async () => {
  [here, there] = [await openStore(), await openStore()];
  tree = join(here.scratch, 'tree');
  fs.mkdirSync(tree);
});
afterEach(() => Promise.all([here.close(), there.close()]));

const freeze = (): Promise<SnapshotRef> => here.store.freeze({ kind: 'directory', path: tree });

async function exported(trees: Readonly<Record<string, SnapshotRef>>): Promise<Buffer> {
  const ids = new Map(Object.entries(trees).map(([name, { id }]) => [name, id]));
  const parts: Uint8Array[] = [];
  for await (const bytes of await here.store.exportTrees(ids, () => Buffer.from('head'))) parts.push(bytes);
  return Buffer.concat(parts);
}

async function imported(
  bytes: Buffer,
  trees: Readonly<Record<string, Omit<AdmittedTree, 'owner'> & Partial<AdmittedTree>>>,
) {
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += 60_000) yield bytes.subarray(at, at + 60_000);
  }
  const admitted = new Map(Object.entries(trees).map(([name, one]) => [name, { owner: null, ...one }]));
  return there.store.importTrees(chunks(), () => admitted);
}

test('any tree comes out of another store as it went in', async () => {
  await fc.assert(
    fc.asyncProperty(treeActions(), async (actions) => {
      fs.rmSync(tree, { recursive: true });
      fs.mkdirSync(tree);
      applyTreeActions(tree, actions);
      fs.writeFileSync(join(tree, 'large'), Buffer.alloc(2_500_000, 'large '));
      const source = { kind: 'directory', path: tree } as const;
      const frozen = await here.store.seed({ source, owner: { uid: 4_321, gid: 5_432 } });
      const refs = await imported(await exported({ workspace: frozen }), { workspace: frozen });
      expect(refs.get('workspace')).toMatchObject({ id: frozen.id, digest: frozen.digest, bytes: frozen.bytes });
      expect(await there.again().verify(frozen.id)).toMatchObject({ digest: frozen.digest });
    }),
    { numRuns: 15 },
  );
}, 30_000);

test('two trees travel together, and the files of one user become those of another', async () => {
  fs.writeFileSync(join(tree, 'a'), 'a');
  const workspace = await freeze();
  fs.writeFileSync(join(tree, 'b'), 'b');
  const home = await freeze();
  const { uid, gid } = fs.statSync(tree);
  const owner = { from: { uid, gid }, to: { uid: 77, gid: 88 } };
  const refs = await imported(await exported({ workspace, home }), { workspace: { ...workspace, owner }, home });
  expect(refs.get('home')?.id).toBe(home.id);
  const [change, ...rest] = await there.store.diff(refs.get('workspace')?.id ?? null, home.id);
  expect(change).toMatchObject({ path: '.', from: { uid: 77, gid: 88 }, to: { uid, gid } });
  expect(rest.map(({ path }) => path)).toEqual(['a', 'b']);
});

describe('a stream is refused, and nothing is left of it, when', () => {
  const afterwards = (): readonly string[] =>
    ['packs', 'snapshots', 'tmp'].flatMap((name) => {
      const folder = join(there.directory, name);
      return fs.existsSync(folder) ? fs.readdirSync(folder) : [];
    });

  test('it is cut off, at any place', async () => {
    fs.writeFileSync(join(tree, 'a'), 'a'.repeat(3_000));
    fs.symlinkSync('a', join(tree, 'link'));
    const frozen = await freeze();
    const bytes = await exported({ workspace: frozen });
    const end = bytes.length - 1_024;
    for (let at = 0; at <= end; at += 509) {
      await expect(imported(bytes.subarray(0, at), { workspace: frozen })).rejects.toMatchObject({
        code: 'OCT_INVALID_ARGUMENT',
      });
    }
    expect(afterwards()).toEqual([]);
  });

  test('a byte of it is changed, anywhere', async () => {
    fs.writeFileSync(join(tree, 'a'), 'content');
    fs.linkSync(join(tree, 'a'), join(tree, 'b'));
    const frozen = await freeze();
    const bytes = await exported({ workspace: frozen });
    let refused = 0;
    for (let at = 1_024; at < bytes.length - 1_024; at += 23) {
      const bad = Buffer.from(bytes);
      bad[at] = (bad[at] ?? 0) ^ 0x15;
      const result = await imported(bad, { workspace: frozen }).catch((error: unknown) => error);
      if (isOpencodeToolsError(result)) refused += 1;
      // Padding says nothing: then it is the very tree.
      else expect((result as Awaited<ReturnType<typeof imported>>).get('workspace')?.id).toBe(frozen.id);
    }
    expect(refused).toBeGreaterThan(50);
  });

  const file = { type: 'file', mode: 0o644, uid: 5, gid: 5, mtimeNs: 0n, size: 0, target: '' } as const;
  const top: TarMember = { ...file, name: 'workspace', type: 'directory', mode: 0o755 };
  const entry = (path: string, more: Partial<TreeEntry>): TreeEntry => ({
    path,
    type: 'directory',
    mode: 0o755,
    uid: 5,
    gid: 5,
    mtimeNs: 0n,
    size: 0,
    digest: '',
    target: '',
    ...more,
  });

  test.each<readonly [string, readonly TarMember[]]>([
    ['a path leads out', [top, { ...file, name: 'workspace/../../etc/passwd' }]],
    ['a path is absolute', [top, { ...file, name: '/etc/passwd' }]],
    ['a path is in no tree', [top, { ...file, name: 'elsewhere/a' }]],
    ['a hard link leads to another tree', [top, { ...file, name: 'workspace/a', type: 'link', target: 'home/a' }]],
    ['a hard link climbs', [top, { ...file, name: 'workspace/a', type: 'link', target: 'workspace/../../a' }]],
    ['a hard link leads to nothing', [top, { ...file, name: 'workspace/a', type: 'link', target: 'workspace/b' }]],
    ['a program would run as root', [top, { ...file, name: 'workspace/a', mode: 0o4755, uid: 0 }]],
    ['a path comes twice', [top, { ...file, name: 'workspace/a' }, { ...file, name: 'workspace/a' }]],
    ['a tree is no directory', [{ ...file, name: 'workspace' }]],
    [
      'a path lies below a symbolic link',
      [
        top,
        { ...file, name: 'workspace/way', type: 'symlink', target: '/etc' },
        { ...file, name: 'workspace/way/passwd' },
      ],
    ],
    ['it is another tree than is named', [top, { ...file, name: 'workspace/a' }]],
  ])('%s', async (_, members) => {
    const bytes = Buffer.concat([
      ...[{ ...file, name: 'checkpoint.json' }, ...members].map((one) => encodeHeader(one)),
      endOfArchive(),
    ]);
    const error: unknown = await imported(bytes, { workspace: { digest: '0'.repeat(64) } }).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({
      code: expect.stringMatching(/^OCT_(INVALID_ARGUMENT|PATH_OUTSIDE_WORKSPACE)$/),
      remedy: expect.any(String),
    });
    expect(afterwards()).toEqual([]);
  });

  test('whoever made it named the digest of a tree that leads through a link', async () => {
    const way = entry('way', { type: 'symlink', mode: 0o777, target: '/etc' });
    const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
    const inner = entry('way/passwd', { type: 'file', mode: 0o644, digest: empty });
    const digest = manifestDigest([entry('', {}), way, inner]);
    const bytes = Buffer.concat([
      encodeHeader({ ...file, name: 'checkpoint.json' }),
      encodeHeader(top),
      encodeHeader({ ...file, name: 'workspace/way', type: 'symlink', mode: 0o777, target: '/etc' }),
      encodeHeader({ ...file, name: 'workspace/way/passwd' }),
      endOfArchive(),
    ]);
    await expect(imported(bytes, { workspace: { digest } })).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      message: expect.stringContaining('below what is no directory'),
    });
  });

  test('it has no head, a head that is too long, or numbers that are none', async () => {
    const long = 2 * 1024 * 1024;
    const streams = [
      endOfArchive(),
      Buffer.concat([encodeHeader(top), endOfArchive()]),
      Buffer.concat([
        encodeHeader({ ...file, name: 'checkpoint.json', size: long }),
        Buffer.alloc(long + paddingOf(long)),
        endOfArchive(),
      ]),
      Buffer.concat([
        encodeHeader({ ...file, name: 'checkpoint.json' }),
        encodeHeader({ ...file, name: 'workspace/a', size: -1 }),
        endOfArchive(),
      ]),
    ];
    for (const bytes of streams) {
      await expect(imported(bytes, { workspace: { digest: '0'.repeat(64) } })).rejects.toMatchObject({
        code: 'OCT_INVALID_ARGUMENT',
      });
    }
  });
});
