import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { addTask } from '@opencode-tools/testkit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lockMaintenance } from '../src/admin/maintenance-lock.ts';
import { openMaintenance } from '../src/index.ts';
import { openSqliteStore } from '../src/sqlite.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';
import { startChild } from './start-child.ts';

let temporary: ReturnType<typeof temporaryDirectory>;
let home: string;
let copy: string;
let homeId: string;
beforeEach(async () => {
  temporary = temporaryDirectory();
  const root = fs.realpathSync(temporary.path);
  home = join(root, 'home');
  copy = join(root, 'copy');
  const store = await openSqliteStore({ directory: home });
  homeId = store.homeId;
  await addTask(store.tasks, { title: 'Kept' });
  await store.close();
});
afterEach(() => temporary.remove());

interface Content {
  readonly place?: unknown;
  readonly [key: string]: unknown;
}
const fileOf = (directory: string) => join(directory, 'home.json');
const contentOf = (directory: string) => JSON.parse(fs.readFileSync(fileOf(directory), 'utf8')) as Content;
const placeOf = (directory: string) => {
  const { dev, ino } = fs.statSync(directory, { bigint: true });
  return { path: fs.realpathSync(directory), device: String(dev), inode: String(ino) };
};
const copyTo = (from: string, to: string) => fs.cpSync(from, to, { recursive: true, preserveTimestamps: true });
/** Opens a home, changes it, and says what it is. */
const use = async (directory: string): Promise<string> => {
  const store = await openSqliteStore({ directory });
  await addTask(store.tasks);
  await store.close();
  return store.homeId;
};
const treeOf = (directory: string) =>
  fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => [path, fs.statSync(path).isFile() ? fs.readFileSync(path, 'base64') : null]);
const refusal = () => ({
  code: 'OCT_STORE_UNAVAILABLE',
  message: expect.stringContaining(home),
  remedy: expect.stringContaining(home),
  details: { directory: copy, original: home },
});

test('a home knows where it is', () => {
  expect(contentOf(home)).toEqual({ v: 1, homeId, place: placeOf(home) });
});

describe('a copy of a home that is still in its place', () => {
  beforeEach(() => copyTo(home, copy));

  test('is refused as often as it is opened, and the original goes on', async () => {
    const before = treeOf(copy);
    for (const _ of [1, 2]) await expect(openSqliteStore({ directory: copy })).rejects.toMatchObject(refusal());
    expect(treeOf(copy)).toEqual(before);
    expect(await use(home)).toBe(homeId);
    expect(contentOf(home)['place']).toEqual(placeOf(home));
  });

  test('says so in its status, can be checked, and is maintained by nobody', async () => {
    const maintenance = await openMaintenance({ directory: copy });
    expect(await maintenance.status()).toMatchObject({ homeId, tasks: 1, fault: expect.stringContaining(home) });
    expect(await maintenance.verify()).toMatchObject({ ok: true });
    await expect(maintenance.backup()).rejects.toMatchObject(refusal());
    await expect(maintenance.rebuild()).rejects.toMatchObject(refusal());
    expect(await (await openMaintenance({ directory: home })).status()).toMatchObject({ fault: null });
  });

  test('is refused through a symbolic link as well', async () => {
    const link = join(temporary.path, 'link');
    fs.symlinkSync(copy, link);
    await expect(openSqliteStore({ directory: link })).rejects.toMatchObject({ code: 'OCT_STORE_UNAVAILABLE' });
  });

  test('can be read by whoever opens it for reading, and is not written', async () => {
    const before = fs.readFileSync(fileOf(copy), 'utf8');
    const store = await openSqliteStore({ directory: copy, readOnly: true });
    expect((await store.tasks.listTasks({})).items).toHaveLength(1);
    await expect(addTask(store.tasks)).rejects.toMatchObject({ code: 'OCT_STORE_READ_ONLY' });
    await store.close();
    expect(fs.readFileSync(fileOf(copy), 'utf8')).toBe(before);
  });

  test.each<readonly [string, () => void]>([
    ['is gone', () => fs.rmSync(home, { recursive: true })],
    ['was moved away', () => fs.renameSync(home, `${home}-old`)],
    [
      'gave its place to something else',
      () => {
        fs.rmSync(home, { recursive: true });
        fs.writeFileSync(home, '');
      },
    ],
  ])('is the home when the original %s', async (_, make) => {
    make();
    expect(await use(copy)).toBe(homeId);
    expect(contentOf(copy)['place']).toEqual(placeOf(copy));
  });

  test('is the home when another home has the place of the original', async () => {
    fs.rmSync(home, { recursive: true });
    await use(home);
    expect(await use(copy)).toBe(homeId);
    expect(contentOf(copy)['place']).toEqual(placeOf(copy));
  });

  test('is the home when it is put back in the place of the original', async () => {
    await use(home);
    fs.rmSync(home, { recursive: true });
    copyTo(copy, home);
    expect(await use(home)).toBe(homeId);
    expect(contentOf(home)['place']).toEqual(placeOf(home));
    await expect(openSqliteStore({ directory: copy })).rejects.toMatchObject(refusal());
  });

  test('is found by a newer home file in the place of the original', async () => {
    fs.writeFileSync(fileOf(home), JSON.stringify({ ...contentOf(home), v: 99 }));
    await expect(openSqliteStore({ directory: copy })).rejects.toMatchObject(refusal());
  });
});

describe('a home', () => {
  test('that was moved is the same home, for processes that open it at the same moment too', async () => {
    fs.renameSync(home, copy);
    const children = Array.from({ length: 4 }, () => startChild('open', [copy]));
    const ends = await Promise.all(children.map(({ ended }) => ended));
    expect(ends.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    expect(new Set(children.flatMap(({ lines }) => lines))).toEqual(new Set([homeId]));
    expect(await use(copy)).toBe(homeId);
    expect(contentOf(copy)).toEqual({ v: 1, homeId, place: placeOf(copy) });
    expect(fs.readdirSync(copy).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  test('that was moved, with a link in its old place, is the same home by both paths', async () => {
    fs.renameSync(home, copy);
    fs.symlinkSync(copy, home);
    for (const path of [home, copy]) expect(await use(path)).toBe(homeId);
  });

  test('that is reached through a link keeps its place', async () => {
    const before = fs.readFileSync(fileOf(home), 'utf8');
    fs.symlinkSync(home, copy);
    expect(await use(copy)).toBe(homeId);
    expect(fs.readFileSync(fileOf(home), 'utf8')).toBe(before);
  });

  test('of a version that did not know its place gets it when it is opened', async () => {
    fs.writeFileSync(fileOf(home), JSON.stringify({ v: 1, homeId }));
    await (await openSqliteStore({ directory: home, readOnly: true })).close();
    expect(contentOf(home)).toEqual({ v: 1, homeId });
    await use(home);
    expect(contentOf(home)).toEqual({ v: 1, homeId, place: placeOf(home) });
  });

  test('that is being maintained is opened, and gets its place at the next open', async () => {
    fs.renameSync(home, copy);
    const before = contentOf(copy)['place'];
    const unlock = lockMaintenance(copy);
    expect(await use(copy)).toBe(homeId);
    expect(contentOf(copy)['place']).toEqual(before);
    unlock();
    await use(copy);
    expect(contentOf(copy)['place']).toEqual(placeOf(copy));
  });

  test.runIf(process.platform === 'linux')('that is reached through a bind mount is the same home', () => {
    fs.mkdirSync(copy);
    const before = fs.readFileSync(fileOf(home), 'utf8');
    // The mount is in a namespace that ends with the process.
    const script = 'mount --bind "$1" "$2" && exec "$3" --conditions=@opencode-tools/source "$4" open "$2"';
    const child = join(import.meta.dirname, 'child.ts');
    const argv = [
      '--user',
      '--map-root-user',
      '--mount',
      'sh',
      '-c',
      script,
      'sh',
      home,
      copy,
      process.execPath,
      child,
    ];
    const { stdout, stderr, status } = spawnSync('unshare', argv, { encoding: 'utf8' });
    expect({ stdout, stderr, status }).toEqual({ stdout: `${homeId}\n`, stderr: '', status: 0 });
    expect(fs.readFileSync(fileOf(home), 'utf8')).toBe(before);
  });
});
