import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { maintainHome, openHome } from '../src/index.ts';

let root: string;
let home: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'oct-place-')));
  home = join(root, 'home');
  mkdirSync(join(root, '.git'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const options = (environment: Readonly<Record<string, string>> = {}) => ({
  home,
  cwd: root,
  environment: { HOME: root, XDG_CONFIG_HOME: root, ...environment },
});
const homeId = `hom_${'0'.repeat(26)}`;
const onPostgres = { engine: 'postgres', location: 'postgres://db.example.org/oct', urlFrom: 'MY_DATABASE' };

test('a home that is on PostgreSQL asks for the variable that has its address', async () => {
  mkdirSync(home);
  writeFileSync(join(home, 'home.json'), JSON.stringify({ v: 1, homeId, database: onPostgres }));
  const expected = { code: 'OCT_INVALID_CONFIG', message: expect.stringContaining('MY_DATABASE is not set') };
  await expect(openHome(options())).rejects.toMatchObject(expected);
  await expect(maintainHome(options())).rejects.toMatchObject(expected);
});

test('a home that is on PostgreSQL is looked for there, and no address is written down', async () => {
  mkdirSync(home);
  const text = JSON.stringify({ v: 1, homeId, database: onPostgres });
  writeFileSync(join(home, 'home.json'), text);
  const environment = { MY_DATABASE: 'postgres://oct:secret@127.0.0.1:1/oct' };
  const failure = await openHome(options(environment)).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'OCT_STORE_UNAVAILABLE' });
  expect(JSON.stringify(failure)).not.toContain('secret');
  expect(readFileSync(join(home, 'home.json'), 'utf8')).toBe(text);
});

test('a home that is in SQLite is not begun anew elsewhere when the configuration changes', async () => {
  await (await openHome(options())).close();
  const environment = { OPENCODE_TOOLS_DATABASE: 'postgres://oct:secret@127.0.0.1:1/oct' };
  await expect(openHome(options(environment))).rejects.toMatchObject({
    code: 'OCT_INVALID_CONFIG',
    remedy: expect.stringContaining('db move'),
  });
});

test('a home whose registry is gone can still be maintained', async () => {
  await (await openHome(options())).close();
  rmSync(join(home, 'registry.db'));
  await expect(openHome(options())).rejects.toMatchObject({ code: 'OCT_STATE_CORRUPT' });
  const maintenance = await maintainHome(options());
  expect(await maintenance.status()).toMatchObject({ fault: 'There is no registry' });
  expect(await maintenance.rebuild()).toMatchObject({ tasks: 0, lost: [] });
  await (await openHome(options())).close();
});

test('a home that is in SQLite is maintained there while the variable for its next place is set', async () => {
  await (await openHome(options())).close();
  const environment = { OPENCODE_TOOLS_DATABASE: 'postgres://oct:secret@127.0.0.1:1/oct' };
  const maintenance = await maintainHome(options(environment));
  expect(await maintenance.status()).toMatchObject({ engine: 'sqlite', fault: null });
  const to = {
    engine: 'postgres',
    url: environment.OPENCODE_TOOLS_DATABASE,
    urlFrom: 'OPENCODE_TOOLS_DATABASE',
  } as const;
  await expect(maintenance.move({ to, dryRun: true })).rejects.toMatchObject({ code: 'OCT_STORE_UNAVAILABLE' });
});

test('a copy of a home is refused as often as it is opened, and taken once the original is gone', async () => {
  const original = await openHome(options());
  const copy = { ...options(), home: join(root, 'copy') };
  cpSync(home, copy.home, { recursive: true });
  for (const _ of [1, 2]) {
    await expect(openHome(copy)).rejects.toMatchObject({
      code: 'OCT_STORE_UNAVAILABLE',
      details: { directory: copy.home, original: home },
    });
  }
  await (await openHome(options())).close();
  await original.close();
  expect(await (await maintainHome(copy)).status()).toMatchObject({ fault: expect.stringContaining(home) });
  rmSync(home, { recursive: true });
  await (await openHome(copy)).close();
  expect(await (await maintainHome(copy)).status()).toMatchObject({ fault: null });
});
