import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { DirectoryWatch, OperationId } from '@opencode-tools/core';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createDirectoryWatch } from '../src/index.ts';

const id = 'op_00000000000000000000000001' as OperationId;
const otherId = 'op_00000000000000000000000002' as OperationId;
const manifest = (value: object): string => JSON.stringify({ name: 'x', version: '1.0.0', ...value });

describe('a directory that was watched before', () => {
  let base: string;
  let directory: string;
  let watch: DirectoryWatch;
  const at = (path: string): string => join(directory, path);
  const put = (path: string, text = 'x\n'): void => {
    mkdirSync(dirname(at(path)), { recursive: true });
    writeFileSync(at(path), text);
  };
  const told = async (by: DirectoryWatch, operation: OperationId = id): Promise<readonly string[]> => {
    const found = await by.compare(operation);
    await by.forget(operation);
    return (found ?? []).map(({ rule, path }) => `${rule} ${path}`);
  };
  const trippedBy = async (work: () => void): Promise<readonly string[]> => {
    await watch.note(id, directory, { durable: false });
    // Some kernels tell times apart only by their clock's ticks.
    await setTimeout(12);
    work();
    return told(watch);
  };
  /** Until what was done is so old that a look takes over what the one before it saw. */
  const settle = async (): Promise<void> => {
    await setTimeout(150);
    await trippedBy(() => undefined);
  };

  beforeEach(async () => {
    base = realpathSync(mkdtempSync(join(tmpdir(), 'oct-again-')));
    directory = join(base, 'project');
    watch = createDirectoryWatch({ directory: join(base, 'store') });
    for (const path of ['src/a.ts', 'src/deep/b.ts', 'Makefile', 'bin/run', 'bin/idle']) put(path);
    chmodSync(at('bin/run'), 0o755);
    symlinkSync('a.ts', at('src/link'));
    put('package.json', manifest({ scripts: { test: 'vitest' } }));
    await trippedBy(() => undefined);
    await settle();
  });
  afterEach(() => rmSync(base, { recursive: true, force: true }));

  const planted: readonly (readonly [tripwire: string, work: () => void])[] = [
    ['git .husky/pre-commit', () => put('.husky/pre-commit')],
    ['git .gitattributes', () => put('.gitattributes', '*.c filter=evil\n')],
    ['package-script package.json', () => put('package.json', manifest({ scripts: { test: 'evilst' } }))],
    ['build Makefile', () => appendFileSync(at('Makefile'), 'y\n')],
    ['build Makefile', () => rmSync(at('Makefile'))],
    ['build src/deep/x.mk', () => put('src/deep/x.mk')],
    ['build src/deep/x.mk', () => renameSync(at('src/a.ts'), at('src/deep/x.mk'))],
    ['git .husky/b.ts', () => renameSync(at('src/deep'), at('.husky'))],
    ['mode src/deep/b.ts', () => chmodSync(at('src/deep/b.ts'), 0o755)],
    ['mode bin/idle', () => renameSync(at('bin/run'), at('bin/idle'))],
    ['mode bin/run', () => chmodSync(at('bin/run'), 0o4755)],
    ['mode src/a.ts', () => chmodSync(at('src/a.ts'), 0o2644)],
    [
      'link src/link',
      () => {
        rmSync(at('src/link'));
        symlinkSync('../../out', at('src/link'));
      },
    ],
  ];
  test.each(planted)('tells %s', async (tripwire, work) => {
    expect(await trippedBy(work)).toEqual([tripwire]);
  });

  test('what changed between two commands is told by neither', async () => {
    for (const path of ['Makefile', 'src/new.mk']) put(path, 'other\n');
    put('package.json', manifest({ scripts: { test: 'other' } }));
    chmodSync(at('bin/idle'), 0o755);
    chmodSync(at('src/deep/b.ts'), 0o4755);
    await setTimeout(150);
    expect(await trippedBy(() => put('src/a.ts'))).toEqual([]);
  });

  test('what changed between two commands is told when the second one changes it as well', async () => {
    put('Makefile', 'other\n');
    put('package.json', manifest({ scripts: { test: 'other' } }));
    chmodSync(at('bin/run'), 0o644);
    await setTimeout(150);
    const work = (): void => {
      put('Makefile', 'third\n');
      put('package.json', manifest({ scripts: { test: 'vitest' } }));
      chmodSync(at('bin/run'), 0o755);
    };
    expect(await trippedBy(work)).toEqual(['build Makefile', 'package-script package.json', 'mode bin/run']);
  });

  test('two commands at once each tell what changed since it began', async () => {
    await watch.note(id, directory, { durable: false });
    await setTimeout(150);
    chmodSync(at('src/a.ts'), 0o755);
    await setTimeout(150);
    await watch.note(otherId, directory, { durable: false });
    await setTimeout(12);
    chmodSync(at('bin/idle'), 0o755);
    expect(await told(watch, otherId)).toEqual(['mode bin/idle']);
    expect(await told(watch)).toEqual(['mode bin/idle', 'mode src/a.ts']);
  });

  test('tells all that a watch tells which sees it for the first time', async () => {
    const paths = ['a', 'b.mk', 'd/a', 'd/package.json', 'd/e/c', 'd/e/Makefile', 'f/g'];
    const path = fc.constantFrom(...paths);
    const step = fc.oneof(
      fc.record({ kind: fc.constant('put' as const), path, text: fc.constantFrom('{"bin":1}', '{"bin":2}') }),
      fc.record({ kind: fc.constant('mode' as const), path, mode: fc.constantFrom(0o644, 0o755, 0o4711) }),
      fc.record({ kind: fc.constant('link' as const), path, to: fc.constantFrom('a', '../../x', '.git/y') }),
      fc.record({ kind: fc.constant('move' as const), path: fc.constantFrom(...paths, 'd/e', 'd', 'f'), to: path }),
      fc.record({ kind: fc.constant('remove' as const), path: fc.constantFrom(...paths, 'd/e', 'd') }),
    );
    type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
    const play = (each: Step): void => {
      try {
        if (each.kind === 'put') put(each.path, each.text);
        else if (!existsSync(at(each.path))) return;
        else if (each.kind === 'mode') chmodSync(at(each.path), each.mode);
        else if (each.kind === 'move') renameSync(at(each.path), at(each.to));
        else rmSync(at(each.path), { recursive: true });
        if (each.kind === 'link') symlinkSync(each.to, at(each.path));
      } catch (error) {
        if (!(error instanceof Error && 'code' in error)) throw error;
      }
    };
    const rounds = fc.tuple(fc.array(step, { maxLength: 3 }), fc.array(step, { minLength: 1, maxLength: 4 }));
    await fc.assert(
      fc.asyncProperty(rounds, async ([between, during]) => {
        between.forEach(play);
        await setTimeout(110);
        const fresh = createDirectoryWatch({ directory: join(base, 'store') });
        for (const each of [watch, fresh]) await each.note(id, directory, { durable: false });
        await setTimeout(12);
        during.forEach(play);
        const [again, first] = [await told(watch), await told(fresh)];
        expect(again).toEqual(expect.arrayContaining([...first]));
        // A file that became executable between two commands and is written by the second one is told then.
        const more = again.filter((one) => !first.includes(one));
        expect(more.filter((one) => !one.startsWith('mode '))).toEqual([]);
      }),
      { numRuns: 15 },
    );
  });
});
