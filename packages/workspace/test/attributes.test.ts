import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AdmittedTree, LeftOut, SnapshotRef, WorkspaceStore } from '@opencode-tools/core';
import { describeTree } from '@opencode-tools/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { accessList, attributesIn, capability, setAttributes } from './attribute-bed.ts';
import { openStore } from './open-store.ts';

let opened: Awaited<ReturnType<typeof openStore>>;
let tree: string;

beforeEach(async () => {
  opened = await openStore();
  tree = join(opened.scratch, 'tree');
  mkdirSync(join(tree, 'inner/deep'), { recursive: true });
  for (const name of ['plain', 'inner/one', 'inner/two', 'inner/deep/three']) writeFileSync(join(tree, name), name);
  symlinkSync('inner/one', join(tree, 'link'));
});
afterEach(() => opened.close());

const set = (path: string, attributes: Readonly<Record<string, string>>, directory = tree): Promise<void> =>
  setAttributes(opened.scratch, directory, path, attributes);
const freeze = (onLeftOut?: (one: LeftOut) => void): Promise<SnapshotRef> =>
  opened.store.freeze({ kind: 'directory', path: tree }, onLeftOut === undefined ? {} : { onLeftOut });

const odd = {
  'user.\u00e4 =%;\t\n\\': 'x',
  'user.empty': '',
  'user.bytes': '\u0000\u00ff\n',
  'user.long': 'l'.repeat(1_500),
};

async function dress(): Promise<void> {
  await set('', { 'user.top': 'of the top' });
  await set('inner/one', odd);
  await set('inner', { 'user.of': 'a directory' });
  chmodSync(join(tree, 'inner/two'), 0o660);
  await set('inner/two', { 'system.posix_acl_access': accessList(1_234) });
  if (process.getuid?.() === 0) await set('inner/deep/three', { 'security.capability': capability });
}

test('extended attributes, access control lists and capabilities are in a checkpoint and in what is restored', async () => {
  await dress();
  const attributes = await attributesIn(tree);
  expect(attributes['./inner/one']).toEqual(odd);
  const frozen = await freeze();
  const copy = join(opened.scratch, 'copy');
  await opened.store.restoreDirectory(copy, frozen.id);
  expect(await attributesIn(copy)).toEqual(attributes);
  expect(describeTree(copy)).toEqual(describeTree(tree));
});

test('what only differs in its attributes is restored in its place', async () => {
  await dress();
  const attributes = await attributesIn(tree);
  const frozen = await freeze();
  await set('inner/one', { 'user.other': 'than it was' });
  await set('plain', { 'user.new': 'since' });
  await set('inner', {});
  await set('inner/deep', { 'user.deep': 'since' });
  await set('', {});
  chmodSync(join(tree, 'inner/two'), 0o640);
  expect(await attributesIn(tree)).not.toEqual(attributes);
  const { written, removed } = await opened.store.restoreDirectory(tree, frozen.id);
  expect(await attributesIn(tree)).toEqual(attributes);
  expect({ written, removed }).toEqual({ written: 4, removed: 0 });
  expect(await opened.store.restoreDirectory(tree, frozen.id)).toEqual({ written: 0, removed: 0 });
});

test('an attribute that is set is a change, and what has its attributes as they were is known', async () => {
  await dress();
  const before = await freeze();
  const again = await freeze();
  expect(again.id).toBe(before.id);
  await set('plain', { 'user.new': 'since' });
  const after = await freeze();
  const changes = await opened.store.diff(before.id, after.id);
  expect(changes.map(({ path, change }) => [path, change])).toEqual([['plain', 'modified']]);
  await opened.store.verify(after.id);
});

test('what is restored into a directory whose access control list is inherited has none of it', async () => {
  const frozen = await freeze();
  await set('', { 'system.posix_acl_default': accessList(1_234) });
  writeFileSync(join(tree, 'inner/one'), 'changed');
  await opened.store.restoreDirectory(tree, frozen.id);
  expect(await attributesIn(tree)).toEqual({});
});

test('nothing is read or set behind a symbolic link', async () => {
  const outside = join(opened.scratch, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'secret'), '');
  symlinkSync(outside, join(tree, 'away'));
  await expect(set('away/secret', { 'user.new': 'x' })).rejects.toThrow('errno');
  expect(await attributesIn(outside)).toEqual({});
});

const exported = async (id: string) => {
  const stream = await opened.store.exportTrees(new Map([['workspace', id]]), () => Buffer.from('{}'));
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return parts;
};
const taken = (parts: readonly Uint8Array[], digest: string, store: WorkspaceStore = opened.again()) => {
  const admitted: AdmittedTree = { digest, owner: null };
  async function* stream() {
    yield* parts;
  }
  return store.importTrees(stream(), () => new Map([['workspace', admitted]]));
};

test('an exported checkpoint has attributes, and one with a program that has capabilities is refused', async () => {
  await dress();
  await set('inner/deep/three', {});
  const attributes = await attributesIn(tree);
  const frozen = await freeze();
  const refs = await taken(await exported(frozen.id), frozen.digest);
  expect(refs.get('workspace')?.id).toBe(frozen.id);
  const copy = join(opened.scratch, 'copy');
  await opened.store.restoreDirectory(copy, frozen.id);
  expect(await attributesIn(copy)).toEqual(attributes);
  if (process.getuid?.() !== 0) return;
  await set('inner/deep/three', { 'security.capability': capability });
  const powerful = await freeze();
  await expect(taken(await exported(powerful.id), powerful.digest)).rejects.toMatchObject({
    code: 'OCT_INVALID_ARGUMENT',
  });
});

test('where nothing can read or set attributes the checkpoint and the restore say so', async () => {
  await set('plain', { 'user.of': 'a file' });
  const whole = await freeze();
  const other = await openStore();
  try {
    // No program can be put where a directory is.
    for (const architecture of ['amd64', 'arm64'])
      mkdirSync(join(other.directory, `programs/attributes-${architecture}`), { recursive: true });
    const told: LeftOut[] = [];
    const onLeftOut = (one: LeftOut): void => void told.push(one);
    const frozen = await other.store.freeze({ kind: 'directory', path: tree }, { onLeftOut });
    expect(frozen.id).not.toBe(whole.id);
    await taken(await exported(whole.id), whole.digest, other.store);
    await other.store.restoreDirectory(join(other.scratch, 'copy'), whole.id, { onLeftOut });
    expect(told).toEqual([
      { kind: 'all-attributes', count: 7, first: '' },
      { kind: 'all-attributes', count: 1, first: '' },
    ]);
  } finally {
    await other.close();
  }
});
