import { mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { OpencodeToolsError } from '@opencode-tools/core';
import { addTask } from '@opencode-tools/testkit';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { HeldDirectory } from '../src/folder/held-directory.ts';
import { openSqliteStore } from '../src/sqlite.ts';
import { openSqliteRegistry, temporaryDirectory } from './open-sqlite-registry.ts';
import { bundleChild, startFile } from './start-child.ts';

let temporary: ReturnType<typeof temporaryDirectory>;
beforeEach(() => {
  temporary = temporaryDirectory();
});
afterEach(() => temporary.remove());

test('an export that is killed at any moment leaves the folder whole, old or new', async () => {
  const [directory, repository] = [join(temporary.path, 'home'), join(temporary.path, 'repository')];
  mkdirSync(repository);
  let store = await openSqliteStore({ directory });
  const { id } = await addTask(store.tasks);
  await store.admin.exportMemory(id, repository);
  await store.close();
  const script = await bundleChild('export-child.ts');
  let seq = 1;
  for (let round = 0; round < 5; round += 1) {
    const child = startFile(script.path, [directory, id, repository]);
    await child.said(1 + round);
    await sleep(Math.random() * 20);
    child.process.kill('SIGKILL');
    await child.ended;
    const other = await openSqliteRegistry();
    const [taken] = await other.admin.importMemory(repository);
    expect(taken?.head.seq).toBeGreaterThan(seq);
    seq = taken?.head.seq ?? 0;
    await other.close();
  }
  script.remove();
  store = await openSqliteStore({ directory });
  expect(await store.admin.exportMemory(id, repository)).toMatchObject({ head: await store.ledger.head(id) });
  expect(readdirSync(join(repository, '.task-memory'))).toEqual([id]);
  await store.close();
});

test('an export that fails says why, whatever its tidying meets, and leaves the folder to others', async () => {
  const [directory, repository] = [join(temporary.path, 'home'), join(temporary.path, 'repository')];
  mkdirSync(repository);
  const store = await openSqliteStore({ directory });
  const { id } = await addTask(store.tasks);
  const why = new OpencodeToolsError('OCT_RESOURCE_LIMIT', 'There is no room left');
  vi.spyOn(HeldDirectory.prototype, 'create').mockRejectedValueOnce(why);
  vi.spyOn(HeldDirectory.prototype, 'remove').mockRejectedValueOnce(new Error('The tidying failed'));
  await expect(store.admin.exportMemory(id, repository)).rejects.toBe(why);
  vi.restoreAllMocks();
  expect(readdirSync(repository)).toEqual(['.task-memory']);
  expect(await store.admin.exportMemory(id, repository)).toMatchObject({ changed: true });
  await store.close();
});

test.runIf(process.platform === 'linux')(
  'a directory that is held stays the same one when a link takes its place',
  async () => {
    const [inside, outside] = [join(temporary.path, 'inside'), join(temporary.path, 'outside')];
    mkdirSync(inside);
    mkdirSync(outside);
    await using base = await HeldDirectory.open(temporary.path);
    await using held = await base.find('inside');
    expect(await base.move('inside', 'moved')).toBe(true);
    symlinkSync(outside, inside);
    await (await held?.create('file'))?.close();
    expect(readdirSync(outside)).toEqual([]);
    expect(readdirSync(join(temporary.path, 'moved'))).toEqual(['file']);
    await expect(base.find('inside')).rejects.toMatchObject({ code: 'OCT_PATH_OUTSIDE_WORKSPACE' });
  },
);
