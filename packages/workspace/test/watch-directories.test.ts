import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { DirectoryWatch, OperationId } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createDirectoryWatch } from '../src/index.ts';

const id = 'op_00000000000000000000000001' as OperationId;
const manifest = (value: object): string => JSON.stringify({ name: 'x', version: '1.0.0', ...value });

describe('a directory that is watched for tripwires', () => {
  let base: string;
  let directory: string;
  let watch: DirectoryWatch;
  const at = (path: string): string => join(directory, path);
  const put = (path: string, text = 'x\n'): void => {
    mkdirSync(dirname(at(path)), { recursive: true });
    writeFileSync(at(path), text);
  };
  /** Some kernels tell times apart only by their clock's ticks, a few milliseconds long. */
  const awaitTick = (): void => {
    const now = (): number => {
      writeFileSync(join(base, 'tick'), '');
      return statSync(join(base, 'tick')).ctimeMs;
    };
    for (const first = now(); now() === first;);
  };
  /** As `rule path`. */
  const trippedBy = async (work: () => void): Promise<readonly string[]> => {
    await watch.note(id, directory, { durable: false });
    awaitTick();
    work();
    const found = await watch.compare(id);
    await watch.forget(id);
    return (found ?? []).map(({ rule, path }) => `${rule} ${path}`);
  };

  beforeEach(() => {
    base = realpathSync(mkdtempSync(join(tmpdir(), 'oct-watch-')));
    directory = join(base, 'project');
    watch = createDirectoryWatch({ directory: join(base, 'store') });
    for (const path of ['src/a.ts', 'README.md', 'Makefile', '.git/hooks/pre-commit', 'bin/run']) put(path);
    chmodSync(at('bin/run'), 0o755);
    put('package.json', manifest({ scripts: { test: 'vitest' } }));
    put('.gitattributes', '* text=auto\n');
  });
  afterEach(() => rmSync(base, { recursive: true, force: true }));

  const planted: readonly (readonly [tripwire: string, work: () => void])[] = [
    ['git .husky/pre-commit', () => put('.husky/pre-commit')],
    ['git vendor/lib/.git/config', () => put('vendor/lib/.git/config')],
    ['git .gitmodules', () => put('.gitmodules')],
    ['git .gitattributes', () => appendFileSync(at('.gitattributes'), '*.c filter=evil\n')],
    ['package-script package.json', () => put('package.json', manifest({ scripts: { test: 'evil' } }))],
    ['package-script package.json', () => put('package.json', '{ not json')],
    ['package-script web/package.json', () => put('web/package.json', manifest({ scripts: { prepare: 'x' } }))],
    ['build Makefile', () => appendFileSync(at('Makefile'), 'y\n')],
    ['build Makefile', () => rmSync(at('Makefile'))],
    ['ci .github/workflows/ci.yml', () => put('.github/workflows/ci.yml')],
    ['editor .vscode/tasks.json', () => put('.vscode/tasks.json')],
    ['agent .mcp.json', () => put('.mcp.json')],
    ['agent docs/AGENTS.md', () => put('docs/AGENTS.md')],
    ['link out', () => symlinkSync('../elsewhere', at('out'))],
    ['link src/hooks', () => symlinkSync('../.git/hooks', at('src/hooks'))],
    ['mode README.md', () => chmodSync(at('README.md'), 0o755)],
    ['mode bin/run', () => chmodSync(at('bin/run'), 0o4755)],
    [
      'build Makefile',
      () => {
        writeFileSync(at('Makefile'), 'y\n');
        utimesSync(at('Makefile'), 1_000, 1_000);
      },
    ],
    [
      'git .husky/a.ts',
      () => {
        renameSync(at('src'), at('.husky'));
      },
    ],
  ];
  test.each(planted)('tells %s', async (tripwire, work) => {
    expect(await trippedBy(work)).toEqual([tripwire]);
  });

  test('says nothing when nothing was done, nor for work that no rule names', async () => {
    expect(await trippedBy(() => undefined)).toEqual([]);
    const work = (): void => {
      put('src/a.ts', 'other\n');
      put('src/new/b.ts');
      put('docs/page.md');
      put('package.json', manifest({ version: '1.0.1', scripts: { test: 'vitest' } }));
      appendFileSync(at('.gitattributes'), '*.png binary\n');
      appendFileSync(at('bin/run'), 'y\n');
      symlinkSync('a.ts', at('src/link'));
      rmSync(at('README.md'));
      put('.git/hooks/pre-push');
    };
    expect(await trippedBy(work)).toEqual([]);
  });

  test('tells what is near the top first', async () => {
    const work = (): void => {
      for (const path of ['a/b/c/Makefile', 'z.mk', 'node_modules/x/Makefile']) put(path);
    };
    expect(await trippedBy(work)).toEqual(['build z.mk', 'build node_modules/x/Makefile', 'build a/b/c/Makefile']);
  });

  test('compares each time with the note that an operation has, and not with what was seen since', async () => {
    expect(await trippedBy(() => put('package.json', manifest({ scripts: { test: 'one' } })))).toHaveLength(1);
    expect(await trippedBy(() => put('src/other.ts'))).toEqual([]);
    expect(await trippedBy(() => put('package.json', manifest({ scripts: { test: 'two' } })))).toHaveLength(1);
  });

  test('is compared by another process with a note that is kept, until it is forgotten', async () => {
    await watch.note(id, directory, { durable: true });
    put('Makefile', 'z\n');
    const other = createDirectoryWatch({ directory: join(base, 'store') });
    expect(await other.compare(id)).toMatchObject([{ path: 'Makefile', rule: 'build' }]);
    await other.forget(id);
    await other.forget(id);
    expect([await other.compare(id), await watch.compare(id)]).toEqual([null, null]);
    expect(readdirSync(join(base, 'store', 'notes'))).toEqual([]);
  });

  test('a note that is damaged is no note', async () => {
    await watch.note(id, directory, { durable: true });
    writeFileSync(join(base, 'store', 'notes', `${id}.json`), '{');
    expect(await watch.compare(id)).toBeNull();
  });

  test('a path that is too long to be looked at hides nothing else, and is told when it comes nearer', async () => {
    const chain = (length: number): string => Array.from({ length }, () => 'd'.repeat(200)).join('/');
    put(join(chain(11), 'src/a.ts'));
    const told = await trippedBy(() => {
      put(join('..', 'other', chain(11), 'Makefile'));
      execFileSync('mv', [join(base, 'other'), '.'], { cwd: at(chain(11)) });
      put('.mcp.json');
    });
    expect(told).toEqual(['agent .mcp.json']);
    const nearer = await trippedBy(() => renameSync(at(chain(6)), at('near')));
    expect(nearer).toEqual([`build near/${chain(5)}/other/${chain(11)}/Makefile`]);
  });

  test('names that are not UTF-8, pipes and links to nowhere or to a loop are no obstacle', async () => {
    const work = (): void => {
      writeFileSync(Buffer.concat([Buffer.from(`${directory}/`), Buffer.from([0xff, 0x2e, 0x6d, 0x6b])]), 'x');
      execFileSync('mkfifo', [at('package.json.fifo'), at('pyproject.toml')]);
      symlinkSync('nowhere', at('dangling'));
      symlinkSync('.', at('loop'));
    };
    expect(await trippedBy(work)).toEqual(['package-script pyproject.toml', 'build \ufffd.mk']);
    expect(existsSync(at('loop/loop/Makefile'))).toBe(true);
  });
});
