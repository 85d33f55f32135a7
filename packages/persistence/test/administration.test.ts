import * as fs from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { latestSchemaVersion } from '../src/index.ts';
import { acquire, chains, contents, fillStore, homeIn, maintenanceOf, openAt, openToOthers } from './administration.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';

const place = { engine: 'sqlite' } as const;
let temporary: ReturnType<typeof temporaryDirectory>;
let directory: string;
beforeEach(() => {
  temporary = temporaryDirectory();
  directory = homeIn(temporary.path);
});
afterEach(() => temporary.remove());

const fill = async () => {
  const store = await openAt(directory, place);
  const tasks = await fillStore(store);
  const told = { contents: await contents(store), chains: await chains(store) };
  await store.close();
  return { tasks, ...told };
};
const schemaOf = (file: string) => {
  const database = new Database(file, { readonly: true });
  const made = database.prepare('select type, name, tbl_name, sql from sqlite_master order by type, name').all();
  database.close();
  return made;
};
/** Overwrites every fourth page after the first few, which say what the database is. */
const damage = (): Buffer => {
  const file = join(directory, 'registry.db');
  const bytes = fs.readFileSync(file);
  for (let at = 10 * 4096; at < bytes.length; at += 4 * 4096) bytes.fill(0xa5, at, at + 4096);
  fs.writeFileSync(file, bytes);
  return bytes;
};
const removeRegistry = () => {
  for (const name of fs.readdirSync(directory)) if (name.startsWith('registry')) fs.rmSync(join(directory, name));
};

describe('a backup', () => {
  test('of a registry in use is a whole copy that describes itself', async () => {
    await fill();
    const store = await openAt(directory, place);
    const maintenance = await maintenanceOf(directory, place);
    const backup = await maintenance.backup({ reason: 'Before the upgrade!' });
    expect(backup).toMatchObject({ engine: 'sqlite', reason: 'before-the-upgrade', tasks: 2, epoch: 1 });
    expect(fs.existsSync(backup.file)).toBe(true);
    expect(await maintenance.listBackups()).toEqual([backup]);
    expect(fs.readdirSync(join(directory, 'backups'))).toHaveLength(2);
    expect(openToOthers(directory)).toEqual([]);
    await store.close();
  });
});

describe('a dry run of a backup', () => {
  test('makes and checks the copy, and leaves nothing', async () => {
    await fill();
    const maintenance = await maintenanceOf(directory, place);
    expect(await maintenance.backup({ dryRun: true })).toMatchObject({ tasks: 2, engine: 'sqlite' });
    expect(fs.readdirSync(join(directory, 'backups'))).toEqual([]);
    damage();
    await expect(maintenance.backup({ dryRun: true })).rejects.toMatchObject({ code: 'OCT_STATE_CORRUPT' });
  });
});

describe('a registry that is damaged in the middle', () => {
  test('is not copied, and a backup is put in its place, which keeps it', async () => {
    const before = await fill();
    const maintenance = await maintenanceOf(directory, place);
    const { file } = await maintenance.backup();
    const damaged = damage();
    await expect(maintenance.backup()).rejects.toMatchObject({
      code: 'OCT_STATE_CORRUPT',
      remedy: expect.stringContaining('db restore'),
    });
    await expect(maintenance.rollback({ to: 3 })).rejects.toMatchObject({ code: 'OCT_STATE_CORRUPT' });
    const report = await maintenance.restore({ file });
    expect(fs.readFileSync(report.keptAside ?? '')).toEqual(damaged);
    const store = await openAt(directory, place);
    expect(await contents(store)).toEqual(before.contents);
    expect(await store.admin.verify()).toMatchObject({ ok: true });
    await store.close();
  });
});

describe('a registry that is lost', () => {
  test('is made again from the files, in an epoch whose tokens are above all before', async () => {
    const before = await fill();
    const store = await openAt(directory, place);
    const { lease } = await acquire(store, before.tasks[0] as never);
    await store.close();
    removeRegistry();
    const maintenance = await maintenanceOf(directory, place);
    const dry = await maintenance.rebuild({ dryRun: true });
    expect(dry).toMatchObject({ dryRun: true, tasks: 3, lost: [], epoch: null });
    expect(fs.existsSync(join(directory, 'registry.db'))).toBe(false);
    expect(await maintenance.rebuild()).toMatchObject({ tasks: 3, lost: [], epoch: 2 });
    expect(openToOthers(directory)).toEqual([]);
    const again = await openAt(directory, place);
    expect(again.homeId).toBe(store.homeId);
    expect(await contents(again)).toEqual(before.contents);
    expect(await again.admin.verify()).toMatchObject({ ok: true });
    for (const [stream, hashes] of before.chains) {
      expect((await chains(again)).get(stream)?.slice(0, hashes.length)).toEqual(hashes);
    }
    const next = await acquire(again, before.tasks[0] as never);
    expect(next.lease.token).toBeGreaterThan(lease.token + 2 ** 20 - 1);
    await again.memory.project();
    for (const { id } of before.tasks) expect((await again.memory.heal(id)).healed).toEqual([]);
    await again.close();
  });
});

describe('tokens', () => {
  test('never run backwards, whatever is lost after what', async () => {
    const { tasks } = await fill();
    const task = tasks[0] as never;
    const maintenance = await maintenanceOf(directory, place);
    const backup = await maintenance.backup();
    let highest = 0;
    const grantUnseen = async () => {
      // What a process grants before it dies unprojected is in the registry alone.
      const hidden = join(temporary.path, 'hidden');
      fs.renameSync(join(directory, 'tasks'), hidden);
      fs.cpSync(hidden, join(directory, 'tasks'), { recursive: true });
      const store = await openAt(directory, place);
      const { lease } = await acquire(store, task);
      await store.close();
      fs.rmSync(join(directory, 'tasks'), { recursive: true });
      fs.renameSync(hidden, join(directory, 'tasks'));
      expect(lease.token).toBeGreaterThan(highest);
      highest = lease.token;
    };
    for (const verb of ['restore', 'lose', 'lose', 'restore', 'restore', 'lose']) {
      await grantUnseen();
      if (verb === 'restore') await maintenance.restore({ file: backup.file });
      else {
        removeRegistry();
        await maintenance.rebuild();
      }
    }
    await grantUnseen();
    expect((await maintenance.status()).epoch).toBe(7);
  });
});

describe('a restore', () => {
  test('brings the registry back to the backup under a store that is open, and saves the present', async () => {
    const before = await fill();
    const maintenance = await maintenanceOf(directory, place);
    const backup = await maintenance.backup();
    const store = await openAt(directory, place);
    const schema = schemaOf(join(directory, 'registry.db'));
    const { lease } = await acquire(store, before.tasks[1] as never);
    const report = await maintenance.restore({ file: backup.file });
    expect(report).toMatchObject({ dryRun: false, epoch: 2, rolledForward: 0 });
    expect(report.saved?.reason).toBe('before-restore');
    expect(await contents(store)).toEqual(before.contents);
    expect(schemaOf(join(directory, 'registry.db'))).toEqual(schema);
    expect((await store.tasks.listTasks({ text: 'größe' })).items).toHaveLength(2);
    expect(await store.leases.listActive(before.tasks[1]?.id as never)).toEqual([]);
    const next = await acquire(store, before.tasks[1] as never);
    expect(next.lease.token).toBeGreaterThan(lease.token + 2 ** 20 - 1);
    expect(await store.admin.verify()).toMatchObject({ ok: true });
    await store.memory.project();
    for (const { id } of before.tasks) {
      await store.memory.heal(id);
      expect((await store.memory.heal(id)).healed).toEqual([]);
    }
    await store.close();
  });
});

describe('the schema', () => {
  test('goes back and forward, each time after a backup', async () => {
    const before = await fill();
    const maintenance = await maintenanceOf(directory, place);
    expect(await maintenance.rollback({ to: 1, dryRun: true })).toMatchObject({ from: latestSchemaVersion, to: 1 });
    const back = await maintenance.rollback({ to: 1 });
    expect(back.backup).toMatchObject({ reason: 'before-rollback', schemaVersion: latestSchemaVersion });
    expect(await maintenance.status()).toMatchObject({ schemaVersion: 1 });
    expect((await maintenance.status()).pendingMigrations).toHaveLength(back.steps.length);
    expect(await maintenance.migrate()).toMatchObject({ from: 1, to: latestSchemaVersion });
    const store = await openAt(directory, place);
    expect(await contents(store)).toEqual(before.contents);
    expect(await store.admin.verify()).toMatchObject({ ok: true });
    await store.close();
    expect((await maintenance.listBackups()).map(({ reason }) => reason)).toEqual([
      'before-migrate',
      'before-rollback',
    ]);
  });

  test('goes back step by step as well', async () => {
    const before = await fill();
    const maintenance = await maintenanceOf(directory, place);
    for (let to = latestSchemaVersion - 1; to >= 1; to -= 1) {
      expect(await maintenance.rollback({ to })).toMatchObject({ from: to + 1, to });
      expect(await maintenance.verify()).toMatchObject({ ok: true });
    }
    const store = await openAt(directory, place);
    expect(await contents(store)).toEqual(before.contents);
    await store.close();
  });

  test('that goes back under an open store refuses its changes, which are made when it is forward again', async () => {
    const { tasks } = await fill();
    const maintenance = await maintenanceOf(directory, place);
    const store = await openAt(directory, place);
    const refused = { code: 'OCT_STORE_UNAVAILABLE', remedy: expect.stringContaining('db migrate') };
    for (const to of [4, 1]) {
      await maintenance.rollback({ to });
      await expect(acquire(store, tasks[0] as never)).rejects.toMatchObject(refused);
      await expect(store.housekeeping.listPooled()).rejects.toMatchObject(refused);
    }
    await maintenance.migrate();
    const { lease } = await acquire(store, tasks[0] as never);
    expect(lease.state).toBe('held');
    expect(await store.admin.verify()).toMatchObject({ ok: true });
    await store.close();
  });
});
