import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { silentLogger } from '@opencode-tools/core';
import { type TreeAction, applyTreeActions, describeTree, treeActions } from '@opencode-tools/testkit';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { AttributeProgram } from '../src/attributes/attribute-program.ts';
import { encodeAttributes } from '../src/attributes/attribute-text.ts';
import { toBytePath } from '../src/byte-path.ts';
import { createPacer } from '../src/pacer.ts';
import { scanDirectory } from '../src/scan-directory.ts';
import { accessList } from './attribute-bed.ts';
import { openStore } from './open-store.ts';

interface Dressing {
  readonly at: number;
  readonly names: readonly string[];
  readonly value: string;
}

const dressings = fc.array(
  fc.record({
    at: fc.nat(1_000),
    names: fc.uniqueArray(fc.constantFrom('user.a', 'user.b c', 'user.\u00ff=%;\n', 'acl', 'default'), {
      maxLength: 4,
    }),
    value: fc.constantFrom('', 'x', '\u0000\u00ff\n\t', 'long'.repeat(40)),
  }),
  { maxLength: 12 },
);

/** Gives some of what is there attributes, and takes those away that it has. */
async function dress(program: AttributeProgram, root: string, all: readonly Dressing[]): Promise<void> {
  for (const { at, names, value } of all) {
    const found = await dressable(root);
    const one = found[at % found.length];
    if (one === undefined) continue;
    const attributes = new Map<string, string>();
    for (const name of names) {
      if (name === 'acl') attributes.set('system.posix_acl_access', accessList(4_000 + at));
      else if (name !== 'default') attributes.set(name, value);
      else if (one.type === 'directory') attributes.set('system.posix_acl_default', accessList(5_000 + at));
    }
    const wanted = [{ path: one.path, attributes: encodeAttributes(attributes) }];
    expect(await program.write(toBytePath(root), wanted)).toEqual([]);
  }
}

async function dressable(root: string) {
  const nodes = await scanDirectory(toBytePath(root), createPacer(undefined));
  return nodes.filter(({ type }) => type === 'file' || type === 'directory');
}

/** Everything that is there, with its attributes. */
async function described(program: AttributeProgram, root: string): Promise<readonly unknown[]> {
  const paths = (await dressable(root)).map(({ path }) => path);
  const told = (await program.read(toBytePath(root), paths)) ?? [];
  return [describeTree(root), told.map((one) => ({ ...one, at: paths[one.at] }))];
}

test(
  'any attributes of any tree come back equal, into a new directory and in their place',
  { timeout: 240_000 },
  async () => {
    const rounds = fc.asyncProperty(
      treeActions(30),
      dressings,
      treeActions(12),
      dressings,
      async (...[made, worn, edits, later]) => {
        const { store, scratch, volumeName, close } = await openStore();
        try {
          const program = new AttributeProgram(scratch, silentLogger);
          const tree = join(scratch, 'tree');
          const change = async (actions: readonly TreeAction[], dressing: readonly Dressing[]) => {
            applyTreeActions(tree, actions);
            await dress(program, tree, dressing);
            return described(program, tree);
          };
          mkdirSync(tree);
          const before = await change(made, worn);
          const first = await store.freeze({ kind: 'directory', path: tree });
          const copy = join(scratch, 'copy');
          await store.restoreDirectory(copy, first.id);
          expect(await described(program, copy)).toEqual(before);

          const edited = await change(edits, later);
          const second = await store.freeze({ kind: 'directory', path: tree });
          await store.restoreDirectory(tree, first.id);
          expect(await described(program, tree)).toEqual(before);
          await store.restoreDirectory(copy, second.id);
          expect(await described(program, copy)).toEqual(edited);
          expect((await store.freeze({ kind: 'directory', path: copy })).id).toBe(second.id);
          const volume = volumeName();
          await store.provision({ volume, labels: {}, owner: { uid: 0, gid: 0 }, snapshotId: second.id });
          expect((await store.freeze({ kind: 'volume', volume })).id).toBe(second.id);
          expect((await store.freeze({ kind: 'volume', volume })).id).toBe(second.id);
          expect(await store.verify(second.id)).toMatchObject({ digest: second.digest });
        } finally {
          await close();
        }
      },
    );
    await fc.assert(rounds, { numRuns: 25 });
  },
);
