import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { applyTreeActions, describeTree, treeActions } from '@opencode-tools/testkit';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { openStore } from './open-store.ts';

const owner = { uid: 0, gid: 0 };

test('any tree comes back equal from a directory, a volume and a roll back', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(treeActions(60), treeActions(25), async (making, editing) => {
      const { store, scratch, volumes, volumeName, close } = await openStore();
      try {
        const tree = join(scratch, 'tree');
        mkdirSync(tree);
        applyTreeActions(tree, making);
        const before = describeTree(tree);
        const first = await store.freeze({ kind: 'directory', path: tree });

        const copy = join(scratch, 'copy');
        await store.restoreDirectory(copy, first.id);
        expect(describeTree(copy)).toEqual(before);

        applyTreeActions(tree, editing);
        const edited = describeTree(tree);
        const second = await store.freeze({ kind: 'directory', path: tree });
        await store.restoreDirectory(tree, first.id);
        expect(describeTree(tree)).toEqual(before);
        await store.restoreDirectory(copy, second.id);
        expect(describeTree(copy)).toEqual(edited);
        expect((await store.freeze({ kind: 'directory', path: copy })).id).toBe(second.id);

        const volume = volumeName();
        await store.provision({ volume, labels: {}, owner, snapshotId: second.id });
        expect((await store.freeze({ kind: 'volume', volume })).id).toBe(second.id);
        await volumes.remove(volume);
        expect(await store.verify(first.id)).toMatchObject({ digest: first.digest });
      } finally {
        await close();
      }
    }),
    { numRuns: 40 },
  );
});
