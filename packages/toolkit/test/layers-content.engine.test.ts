import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type LayerPort, type LayerStack, type LeftOut, silentLogger } from '@opencode-tools/core';
import { createGit, createWork } from '@opencode-tools/workspace';
import { type LayerBed, openLayerBed, owner } from './support/layer-bed.ts';

/** Sets an extended attribute: `setxattr` by its number on x86-64 and arm64, since no program of the image does. */
const setter = `s() { perl -e 'exit 1 if 0 > syscall((\`uname -m\` =~ /aarch64/ ? 5 : 188), $ARGV[0], $ARGV[1], $ARGV[2], length($ARGV[2]), 0)' "$@"; }; s`;

/** What the layers were asked for. */
const asked: string[] = [];

/** Notes when a layer is read, or what several show is mounted. */
function noting(layers: LayerPort): LayerPort {
  return new Proxy(layers, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        const isView = name === 'stack' && (args[1] as LayerStack).upper === null;
        if (name === 'read' || isView) asked.push(name);
        return Reflect.apply(value, target, args) as unknown;
      };
    },
  });
}

describe('the content of volumes of layers', () => {
  let bed: LayerBed;
  let base: string;
  let repository: string;
  beforeAll(async () => {
    bed = await openLayerBed(undefined, ({ layers, volumes }) => ({
      volumes,
      layers: noting(layers),
    }));
    repository = mkdtempSync(join(tmpdir(), 'oct-layers-source-'));
    const script = [
      'git init -q -b main . && mkdir -p a/b c && for i in $(seq 40); do echo $i >a/f$i; done',
      'echo x >a/b/x && echo y >c/y && ln -s y c/link && git add -A',
      'git -c user.name=a -c user.email=a@example.com commit -qm one',
    ].join(' && ');
    execFileSync('sh', ['-ec', script], { cwd: repository });
    const commit = execFileSync('git', ['rev-parse', 'HEAD'], { cwd: repository, encoding: 'utf8' }).trim();
    const source = { kind: 'git', repository, ref: null, commit, dirty: 'refuse' } as const;
    base = (await bed.store.seed({ source, owner })).id;
  }, 300_000);
  afterAll(async () => {
    rmSync(repository, { recursive: true });
    await bed.remove();
  });
  beforeEach(() => void asked.splice(0));

  /** Freezes what a script made of a volume of the commit, by what it adds and as it is seen. */
  const frozen = async (script: string) => {
    const volume = bed.newVolume();
    await bed.store.provision({ volume, labels: bed.labels, owner, snapshotId: base });
    await bed.run(volume, script);
    const { id } = await bed.store.freeze({ kind: 'volume', volume });
    const content = await bed.store.contentOf(id);
    const ways = [...asked];
    const seen = (await bed.content.freeze({ kind: 'volume', volume })).id;
    await bed.volumes.remove(volume);
    return { content, seen, ways };
  };

  test.each([
    ['changed, new and removed files', 'echo more >>a/f1; rm a/f2; mkdir -p n/m; echo n >n/m/n; chmod 700 a/f3'],
    [
      'a directory in the place of a file and a file in that of a directory',
      'rm a/f4 && mkdir a/f4; rm -r c && echo >c',
    ],
    ['a directory that was removed and made again', 'rm -r c; mkdir c; echo z >c/z; ln -s z c/y'],
    ['pipes in the place of files', 'rm a/f5; mkfifo a/f5; mkfifo c/pipe'],
    [
      'extended attributes',
      `${setter} c/y user.a x; ${setter} a user.of directory; echo n >new; ${setter} new user.n y`,
    ],
    ['other attributes of directories', 'chmod 750 a .; chown 7:7 c; touch -d 2001-02-03T04:05:06.789 a/b'],
  ])('is read off the layers above the commit: %s', async (_, script) => {
    const { content, seen, ways } = await frozen(script);
    expect(content).toBe(seen);
    expect(ways).toEqual(['read']);
  });

  test.each([
    ['directories that were moved', 'mv a/b a/moved; mv c d'],
    ['files with several names', 'echo 1 >one; ln one a/two; ln c/y c/other'],
  ])('is read as it is seen where layers do not tell it: %s', async (_, script) => {
    const { content, seen, ways } = await frozen(script);
    expect(content).toBe(seen);
    expect(ways).toContain('stack');
  });

  test('of a volume as it was seeded is what it was seeded from, and nothing is read for it', async () => {
    const { content, ways } = await frozen('true');
    expect(content).toBe(base);
    expect(ways).toEqual([]);
  });

  test('has the extended attributes of what layers hold', async () => {
    const { content } = await frozen(`${setter} c/y user.of file; ${setter} a user.of directory`);
    const stream = await bed.store.exportTrees(new Map([['workspace', content]]), () => Buffer.from('{}'));
    const parts: Uint8Array[] = [];
    for await (const part of stream) parts.push(part);
    const text = Buffer.concat(parts).toString('latin1');
    expect(text.match(/SCHILY\.xattr\.user\.of=\w+/g)).toEqual([
      'SCHILY.xattr.user.of=directory',
      'SCHILY.xattr.user.of=file',
    ]);
  });

  test.each([
    ['are read', 'mkfifo c/pipe other', true],
    ['are seen', 'mkfifo c/pipe other; mv a/b a/moved', false],
  ])('tells of pipes that are not in it, each time, when layers %s', async (_, script, isRead) => {
    const volume = bed.newVolume();
    await bed.store.provision({ volume, labels: bed.labels, owner, snapshotId: base });
    await bed.run(volume, script);
    const { id } = await bed.store.freeze({ kind: 'volume', volume });
    await bed.run(volume, 'rm c/pipe other');
    const { id: without } = await bed.store.freeze({ kind: 'volume', volume });
    await bed.volumes.remove(volume);
    const leftOutOf = async (snapshot: string): Promise<readonly unknown[]> => {
      const told: unknown[] = [];
      const onLeftOut = (name: string, one: LeftOut): void => void told.push([name, one]);
      const stream = await bed.store.exportTrees(new Map([['workspace', snapshot]]), () => Buffer.from('{}'), {
        onLeftOut,
      });
      for await (const _ of stream);
      return told;
    };
    const pipes = [['workspace', { kind: 'special', count: 2, first: 'c/pipe' }]];
    expect(await leftOutOf(id)).toEqual(pipes);
    expect(asked.includes('stack')).toBe(!isRead);
    expect(await leftOutOf(id)).toEqual(pipes);
    expect(await leftOutOf(without)).toEqual([]);
  });

  test('tells what changed', async () => {
    const { content } = await frozen('echo more >>a/f1; rm a/f2; echo new >new');
    const git = createGit({ environment: process.env, logger: silentLogger, bound: () => Promise.resolve([]) });
    const work = createWork({
      environment: process.env,
      directory: join(bed.directory, 'content'),
      git,
      logger: silentLogger,
    });
    expect((await work.review(base, content)).changes).toEqual([
      { path: 'a/f1', change: 'modified' },
      { path: 'a/f2', change: 'deleted' },
      { path: 'new', change: 'added' },
    ]);
  });
});
