import * as fs from 'node:fs';
import { join } from 'node:path';
import type { VolumePort, WorkspaceStore } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { applyTreeActions, describeTree } from './random-tree.ts';

/** A fresh store for one test. */
export interface OpenWorkspaceStore {
  readonly store: WorkspaceStore;
  readonly volumes: VolumePort;
  /** An empty directory of the host, not below the home of the store. */
  readonly scratch: string;
  /** A volume name that is not taken; the suite removes it. */
  readonly volumeName: () => string;
  readonly close: () => Promise<void>;
}

/** Says what every `WorkspaceStore` does. Called at the top level of a test file. */
export function workspaceStoreContract(name: string, open: () => Promise<OpenWorkspaceStore>): void {
  describe(`${name} as a workspace store`, () => {
    let opened: OpenWorkspaceStore;
    let tree: string;
    const volumes: string[] = [];
    const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    const newVolume = (): string => {
      const volume = opened.volumeName();
      volumes.push(volume);
      return volume;
    };
    beforeEach(async () => {
      opened = await open();
      tree = join(opened.scratch, 'tree');
      plantTree(tree);
    });
    afterEach(async () => {
      for (const volume of volumes.splice(0)) await opened.volumes.remove(volume);
      await opened.close();
    });

    describe('freezing', () => {
      test('gives equal trees one id and adds nothing the second time', async () => {
        const { store, scratch } = opened;
        const first = await store.freeze({ kind: 'directory', path: tree });
        const again = await store.freeze({ kind: 'directory', path: tree });
        expect(again).toEqual({ ...first, addedBytes: 0 });
        const copy = join(scratch, 'copy');
        await store.restoreDirectory(copy, first.id);
        expect(await store.freeze({ kind: 'directory', path: copy })).toMatchObject({
          id: first.id,
          digest: first.digest,
        });
      });

      test.each<readonly [string, (root: string) => void]>([
        ['content', (root) => fs.writeFileSync(join(root, 'file'), 'CONTENT')],
        ['mode', (root) => fs.chmodSync(join(root, 'file'), 0o600)],
        ['time', (root) => fs.utimesSync(join(root, 'file'), 5, 5)],
        ['a link target', (root) => replaceLink(join(root, 'inner/symlink'))],
        ['an empty directory', (root) => fs.rmdirSync(join(root, 'empty'))],
        ['a hard link', (root) => breakLink(join(root, 'inner/hard'))],
      ])('tells trees apart that differ in %s', async (_, edit) => {
        const before = await opened.store.freeze({ kind: 'directory', path: tree });
        edit(tree);
        const after = await opened.store.freeze({ kind: 'directory', path: tree });
        expect(after.id).not.toBe(before.id);
      });

      test.each(['missing', 'tree/file'])('refuses %s with a remedy', async (path) => {
        await expect(
          opened.store.freeze({ kind: 'directory', path: join(opened.scratch, path) }),
        ).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT', remedy: expect.any(String) });
      });

      test('stops when it is cancelled', async () => {
        const freezing = opened.store.freeze({ kind: 'directory', path: tree }, { signal: AbortSignal.abort() });
        await expect(freezing).rejects.toMatchObject({ code: 'OCT_CANCELLED' });
      });
    });

    describe('restoring a directory', () => {
      test('brings back every byte, mode, time and link', async () => {
        const before = describeTree(tree);
        const { id } = await opened.store.freeze({ kind: 'directory', path: tree });
        fs.rmSync(tree, { recursive: true });
        await opened.store.restoreDirectory(tree, id);
        expect(describeTree(tree)).toEqual(before);
      });

      test('writes only what differs', async () => {
        const before = describeTree(tree);
        const { id } = await opened.store.freeze({ kind: 'directory', path: tree });
        expect(await opened.store.restoreDirectory(tree, id)).toEqual({ written: 0, removed: 0 });
        const untouched = fs.lstatSync(join(tree, 'inner/other'), { bigint: true });
        fs.writeFileSync(join(tree, 'file'), 'changed');
        fs.writeFileSync(join(tree, 'new'), 'new');
        const { removed } = await opened.store.restoreDirectory(tree, id);
        expect(removed).toBe(1);
        expect(describeTree(tree)).toEqual(before);
        expect(fs.lstatSync(join(tree, 'inner/other'), { bigint: true }).ctimeNs).toBe(untouched.ctimeNs);
      });

      test('replaces directories by files and files by directories', async () => {
        const before = describeTree(tree);
        const { id } = await opened.store.freeze({ kind: 'directory', path: tree });
        fs.rmSync(join(tree, 'file'));
        fs.mkdirSync(join(tree, 'file/deep'), { recursive: true });
        fs.rmSync(join(tree, 'inner'), { recursive: true });
        fs.writeFileSync(join(tree, 'inner'), 'now a file');
        await opened.store.restoreDirectory(tree, id);
        expect(describeTree(tree)).toEqual(before);
      });

      test('never follows a symbolic link out of the directory', async () => {
        const outside = join(opened.scratch, 'outside');
        fs.mkdirSync(outside);
        fs.writeFileSync(join(outside, 'other'), 'precious');
        const { id } = await opened.store.freeze({ kind: 'directory', path: tree });
        const before = describeTree(tree);
        const precious = describeTree(outside);
        fs.rmSync(join(tree, 'inner'), { recursive: true });
        fs.symlinkSync(outside, join(tree, 'inner'));
        await opened.store.restoreDirectory(tree, id);
        expect(describeTree(tree)).toEqual(before);
        expect(describeTree(outside)).toEqual(precious);
      });
    });

    describe('provisioning a volume', () => {
      test('gives a volume that freezes to the same snapshot', async () => {
        const { store } = opened;
        const { id } = await store.freeze({ kind: 'directory', path: tree });
        const volume = newVolume();
        await store.provision({ volume, labels: {}, owner, snapshotId: id });
        const frozen = await store.freeze({ kind: 'volume', volume });
        expect(await store.diff(id, frozen.id)).toEqual([]);
        expect(frozen.id).toBe(id);
      });

      test('makes a volume of the name anew', async () => {
        const { store } = opened;
        const first = await store.freeze({ kind: 'directory', path: tree });
        fs.rmSync(join(tree, 'inner'), { recursive: true });
        const second = await store.freeze({ kind: 'directory', path: tree });
        const volume = newVolume();
        await store.provision({ volume, labels: {}, owner, snapshotId: first.id });
        await store.provision({ volume, labels: {}, owner, snapshotId: second.id });
        expect((await store.freeze({ kind: 'volume', volume })).id).toBe(second.id);
      });

      test('gives an empty volume for no snapshot', async () => {
        const volume = newVolume();
        await opened.store.provision({ volume, labels: {}, owner, snapshotId: null });
        const { id, bytes } = await opened.store.freeze({ kind: 'volume', volume });
        const { id: otherId } = await opened.store.freeze({ kind: 'directory', path: tree });
        expect(bytes).toBe(0);
        expect(await opened.store.diff(id, otherId)).toContainEqual(
          expect.objectContaining({ path: 'file', change: 'added', from: null }),
        );
      });

      test('says which snapshots are missing, and of volumes only those that lost something', async () => {
        const volume = newVolume();
        const unknown = `snp_${'0'.repeat(40)}`;
        const { id } = await opened.store.freeze({ kind: 'directory', path: tree });
        await opened.store.provision({ volume, labels: {}, owner, snapshotId: id });
        await opened.store.takeStock();
        const missing = await opened.store.missing({ snapshotIds: [id, unknown], volumes: [volume] });
        expect([...missing.snapshots.keys()]).toEqual([unknown]);
        expect([...missing.volumes]).toEqual([]);
      });

      test('leaves no volume when it is cancelled or the snapshot is unknown', async () => {
        const volume = newVolume();
        const { id } = await opened.store.freeze({ kind: 'directory', path: tree });
        const request = { volume, labels: {}, owner };
        await expect(
          opened.store.provision({ ...request, snapshotId: id, signal: AbortSignal.abort() }),
        ).rejects.toMatchObject({ code: 'OCT_CANCELLED' });
        await expect(opened.store.provision({ ...request, snapshotId: `snp_${'0'.repeat(40)}` })).rejects.toMatchObject(
          { code: 'OCT_CHECKPOINT_CORRUPT' },
        );
        expect(await opened.volumes.find(volume)).toBeUndefined();
      });
    });

    describe('seeding from a directory', () => {
      test('freezes a copy with the given owner, with what was prepared, and leaves the source alone', async () => {
        const before = describeTree(tree);
        const source = { kind: 'directory', path: tree } as const;
        const seeded = await opened.store.seed({
          source,
          owner: { uid: 4_242, gid: 4_343 },
          prepare: async (directory) => fs.writeFileSync(join(directory, 'plan.md'), 'the plan'),
        });
        const plain = await opened.store.seed({ source, owner: { uid: 4_242, gid: 4_343 } });
        expect(describeTree(tree)).toEqual(before);
        expect(await opened.store.diff(plain.id, seeded.id)).toMatchObject([{ path: 'plan.md', change: 'added' }]);
      });

      test.each(['/', 'missing', 'tree/file'])('refuses %s', async (path) => {
        const source = { kind: 'directory', path: path === '/' ? path : join(opened.scratch, path) } as const;
        const code = path === '/' ? 'OCT_POLICY_DENIED' : 'OCT_INVALID_ARGUMENT';
        await expect(opened.store.seed({ source, owner })).rejects.toMatchObject({ code });
      });
    });

    test('compares snapshots by path, with kinds, modes and sizes', async () => {
      const from = await opened.store.freeze({ kind: 'directory', path: tree });
      fs.writeFileSync(join(tree, 'file'), 'changed it');
      fs.symlinkSync('file', join(tree, 'added'));
      fs.rmSync(join(tree, 'inner/other'));
      fs.chmodSync(join(tree, 'empty'), 0o700);
      const odd = Buffer.from('odd\xff', 'latin1');
      fs.writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), odd]), 'odd');
      const to = await opened.store.freeze({ kind: 'directory', path: tree });
      const changes = await opened.store.diff(from.id, to.id);
      expect(changes).toMatchObject([
        { path: 'added', pathBytes: null, change: 'added', from: null, to: { kind: 'symlink', sizeBytes: 0 } },
        { path: 'empty', change: 'modified', from: { kind: 'directory' }, to: { kind: 'directory', mode: 0o700 } },
        {
          path: 'file',
          change: 'modified',
          from: { kind: 'file', mode: 0o640, sizeBytes: 7 },
          to: { kind: 'file', mode: 0o640, sizeBytes: 10 },
        },
        { path: 'inner/hard', change: 'modified', to: { kind: 'link', sizeBytes: 10 } },
        { path: 'inner/other', change: 'deleted', from: { kind: 'file', sizeBytes: 5 }, to: null },
        { path: 'odd\ufffd', pathBytes: odd.toString('base64'), change: 'added', to: { sizeBytes: 3 } },
      ]);
      expect(await opened.store.contentOf(to.id)).toBe(to.id);
      expect(await opened.store.diff(null, null)).toEqual([]);
      const all = await opened.store.diff(to.id, null);
      expect(all).toHaveLength(to.entries);
      expect(new Set(all.map(({ change }) => change))).toEqual(new Set(['deleted']));
    });

    test('says what groups of snapshots take, alone and together', async () => {
      const { store } = opened;
      const first = await store.freeze({ kind: 'directory', path: tree });
      fs.writeFileSync(join(tree, 'more'), Buffer.alloc(500_000, 'more '));
      const second = await store.freeze({ kind: 'directory', path: tree });
      const [one, both, none] = await store.usage([[first.id], [second.id, first.id], [`snp_${'0'.repeat(40)}`]]);
      expect(one?.addedBytes).toBe(one?.bytes);
      expect(one?.bytes).toBeGreaterThan(3_000_000);
      expect(one?.ownBytes).toBe(0);
      expect(both?.ownBytes).toBe(both?.addedBytes);
      expect(both?.bytes).toBe((one?.bytes ?? 0) + (both?.addedBytes ?? 0));
      expect(both?.addedBytes).toBeGreaterThan(500_000);
      expect(both?.addedBytes).toBeLessThan(600_000);
      expect(none).toEqual({ bytes: 0, ownBytes: 0, addedBytes: 0 });
    });

    test('knows its snapshots and verifies them', async () => {
      const frozen = await opened.store.freeze({ kind: 'directory', path: tree });
      expect(await opened.store.verify(frozen.id)).toEqual(frozen);
      expect(await opened.store.has(frozen.id)).toBe(true);
      expect(await opened.store.has(`snp_${'0'.repeat(40)}`)).toBe(false);
      await expect(opened.store.verify('snp_../../etc')).rejects.toMatchObject({ code: 'OCT_CHECKPOINT_NOT_FOUND' });
    });

    test('lets a project be shared, and no system or home directory', async () => {
      fs.symlinkSync(tree, join(opened.scratch, 'way'));
      if (process.getuid?.() === 0) {
        await expect(opened.store.checkDirectory(tree)).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
        fs.chownSync(tree, 1234, 2345);
      }
      const { uid, gid } = fs.statSync(tree);
      const shareable = { path: fs.realpathSync(tree), owner: { uid, gid } };
      expect(await opened.store.checkDirectory(join(opened.scratch, 'way'))).toEqual(shareable);
      for (const path of [join(opened.scratch, 'missing'), join(tree, 'file'), 'tree']) {
        await expect(opened.store.checkDirectory(path)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
      }
      for (const path of ['/', '/etc', '/proc/1']) {
        await expect(opened.store.checkDirectory(path)).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
        const source = { kind: 'directory', path } as const;
        const seeding = opened.store.seed({ source, owner: { uid: 1000, gid: 1000 } });
        await expect(seeding).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
      }
    });
  });
}

/** A small tree with one of everything that a snapshot keeps. */
function plantTree(root: string): void {
  fs.mkdirSync(join(root, 'inner'), { recursive: true });
  fs.mkdirSync(join(root, 'empty'));
  fs.writeFileSync(join(root, 'file'), 'content');
  fs.chmodSync(join(root, 'file'), 0o640);
  fs.writeFileSync(join(root, 'inner/other'), 'other');
  fs.linkSync(join(root, 'file'), join(root, 'inner/hard'));
  fs.symlinkSync('../file', join(root, 'inner/symlink'));
  fs.writeFileSync(join(root, 'large'), Buffer.alloc(3_000_000, 'large '));
  const name = (text: string) => ({
    name: text,
    content: Buffer.from(text),
    mode: 0o4755,
    seconds: -1.5,
    at: 0,
    other: 0,
  });
  applyTreeActions(
    root,
    ['\xff\xfe', 'line\nfeed', 'long '.repeat(30)].map((text) => ({ kind: 'file', ...name(text) })),
  );
  fs.utimesSync(join(root, 'empty'), 1_000_000_000.25, 1_000_000_000.25);
}

function replaceLink(path: string): void {
  fs.rmSync(path);
  fs.symlinkSync('elsewhere', path);
}

function breakLink(path: string): void {
  const { atime, mtime, mode } = fs.statSync(path);
  const content = fs.readFileSync(path);
  fs.rmSync(path);
  fs.writeFileSync(path, content);
  fs.chmodSync(path, mode & 0o7777);
  fs.utimesSync(path, atime, mtime);
}
