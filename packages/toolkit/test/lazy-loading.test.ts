import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const runFile = promisify(execFile);
const preload = new URL('./record-loaded-modules.mjs', import.meta.url).href;
const toolkit = new URL('../src/index.ts', import.meta.url).href;
const absentWhenReading = [
  'dockerode',
  'docker-modem',
  'zod',
  'yaml',
  'tar-stream',
  'pg',
  'docker-runtime',
  'workspace',
];

let home: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'oct-lazy-'));
});

afterAll(async () => {
  await rm(home, { recursive: true, force: true });
});

/** Runs code in a process of its own and gives the packages whose modules it loaded. */
async function packagesLoadedBy(code: string): Promise<ReadonlySet<string>> {
  const { stdout } = await runFile(
    process.execPath,
    ['--conditions=@opencode-tools/source', '--import', preload, '--input-type=module', '-e', code],
    { cwd: home, env: { HOME: home, PATH: process.env['PATH'] } },
  );
  const urls = JSON.parse(stdout) as readonly string[];
  return new Set(urls.map(packageOf).filter((name) => name !== undefined));
}

function packageOf(url: string): string | undefined {
  const inModules = url.split('/node_modules/').at(-1);
  if (url.includes('/node_modules/') && inModules !== undefined) {
    return inModules.startsWith('@') ? inModules.split('/').slice(0, 2).join('/') : inModules.split('/')[0];
  }
  return /\/packages\/([^/]+)\/src\//.exec(url)?.[1];
}

test('importing the toolkit loads neither an adapter with a library behind it nor a third-party package', async () => {
  const loaded = await packagesLoadedBy(`await import(${JSON.stringify(toolkit)});`);
  expect([...loaded].toSorted()).toEqual(['core', 'egress', 'hooks', 'toolkit']);
});

test('opening a home and listing its tasks loads the store, and neither engine, git, YAML nor schema libraries', async () => {
  const loaded = await packagesLoadedBy(`
    const { openHome } = await import(${JSON.stringify(toolkit)});
    const home = await openHome({ home: ${JSON.stringify(join(home, 'h'))}, cwd: '.', environment: { HOME: '.' } });
    await home.services.tasks.list({});
    await home.close();
  `);
  expect(loaded).toContain('better-sqlite3');
  expect(absentWhenReading.filter((name) => loaded.has(name))).toEqual([]);
});
