import {
  chmod,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import type { ByteStream, HostFiles } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

/** A member of a tar stream; a file has some content. */
export interface TarMember {
  readonly name: string;
  /** A file when absent. */
  readonly type?: 'directory' | 'symlink' | 'link' | 'character-device';
  readonly linkname?: string;
}

export interface OpenHostFiles {
  readonly files: HostFiles;
  readonly tarOf: (members: readonly TarMember[]) => ByteStream;
}

/** Says what every `HostFiles` does. Called at the top level of a test file. */
export function hostFilesContract(name: string, opened: OpenHostFiles): void {
  describe(`${name} as files of the host`, () => {
    let directory: string;
    beforeEach(async () => {
      directory = await mkdtemp(path.join(os.tmpdir(), 'oct-host-files-'));
      await mkdir(path.join(directory, 'in'));
      await mkdir(path.join(directory, 'out'));
    });
    afterEach(async () => rm(directory, { recursive: true, force: true }));

    const at = (...parts: readonly string[]): string => path.join(directory, ...parts);

    test('are replaced in one step, and what a process that is gone has left of one goes', async () => {
      for (const name of ['file', 'broken']) await writeFile(at('in', name), 'new');
      await symlink('file', at('in', 'link'));
      await opened.files.unpack(opened.files.pack(at('in'), 'in'), at('out'), 'copy');
      await writeFile(at('out', 'copy', 'file'), 'old');
      const { pid } = spawnSync('true');
      const left = at('out', `.opencode-tools-copying-${pid}-0`);
      await writeFile(left, 'half');
      // Whoever else made that: we make no directory of such a name.
      const strange = `.opencode-tools-copying-${pid}-1`;
      await mkdir(at('out', strange));
      await writeFile(at('out', `.opencode-tools-copying-${process.pid}-0`), 'under way');
      const chunks: Uint8Array[] = [];
      for await (const chunk of opened.files.pack(at('in', 'file'), 'file')) chunks.push(Uint8Array.from(chunk));
      const whole = Buffer.concat(chunks);
      const cut = opened.files.unpack(stopping(whole.subarray(0, 513)), at('out', 'copy'), 'file');
      await expect(cut).rejects.toThrow('source broke');
      expect(await readFile(at('out', 'copy', 'file'), 'utf8')).toBe('old');
      await opened.files.unpack(opened.files.pack(at('in'), 'in'), at('out'), 'copy');
      expect(await readFile(at('out', 'copy', 'file'), 'utf8')).toBe('new');
      expect(await readlink(at('out', 'copy', 'link'))).toBe('file');
      expect((await readdir(at('out'))).sort()).toEqual(
        [strange, `.opencode-tools-copying-${process.pid}-0`, 'copy'].sort(),
      );
      expect((await readdir(at('out', 'copy'))).sort()).toEqual(['broken', 'file', 'link']);
    });

    test('go through a stream and back: content, modes, links, odd names', async () => {
      const odd = Buffer.concat([Buffer.from(at('in', 'bad')), Buffer.from([0xff, 0x0a])]);
      await writeFile(odd, 'odd');
      await mkdir(at('in', 'sub', 'deep'), { recursive: true });
      await writeFile(at('in', 'sub', 'run'), Buffer.alloc(3_000_000, 'x'));
      await chmod(at('in', 'sub', 'run'), 0o4755);
      await symlink('../sub/run', at('in', 'sub', 'link'));
      spawnSync('mkfifo', [at('in', 'pipe')]);
      const report = await opened.files.unpack(opened.files.pack(at('in'), 'in'), at('out'), 'copy');
      expect(report).toEqual({ files: 2, sizeBytes: 3_000_003, skipped: [] });
      expect((await stat(at('out', 'copy', 'sub', 'run'))).mode & 0o7777).toBe(0o755);
      expect(await readlink(at('out', 'copy', 'sub', 'link'))).toBe('../sub/run');
      const names = await readdir(at('out', 'copy'), { encoding: 'buffer' });
      expect(names.map((name) => name.toString('latin1')).sort()).toEqual(['bad\xff\n', 'sub']);
    });

    test.each(['where nothing lies', 'where another file lies'])(
      'a file has its other names in other directories, %s',
      async (place) => {
        await mkdir(at('out', 'copy', 'b'), { recursive: true });
        if (place !== 'where nothing lies') await writeFile(at('out', 'copy', 'b', 'x'), 'old');
        const members = [
          { name: 'copy/a/x' },
          { name: 'copy/b/x', type: 'link', linkname: 'copy/a/x' },
          { name: 'copy/c/d/y', type: 'link', linkname: 'copy/b/x' },
        ] as const;
        await opened.files.unpack(opened.tarOf(members), at('out'), 'copy');
        const first = await stat(at('out', 'copy', 'a', 'x'));
        for (const other of [at('out', 'copy', 'b', 'x'), at('out', 'copy', 'c', 'd', 'y')])
          expect((await stat(other)).ino).toBe(first.ino);
      },
    );

    test('go without what is left out', async () => {
      await mkdir(at('in', 'sub', 'cache'), { recursive: true });
      for (const file of ['sub/cache/a', 'sub/kept', 'secret']) await writeFile(at('in', file), file);
      const asked: string[] = [];
      const leaveOut = (of: string): boolean => {
        asked.push(of);
        return of === 'secret' || of.startsWith('sub/cache');
      };
      await opened.files.unpack(opened.files.pack(at('in'), 'in', undefined, leaveOut), at('out'), 'copy');
      expect((await readdir(at('out', 'copy'), { recursive: true })).sort()).toEqual(['sub', 'sub/kept']);
      expect(asked.sort()).toEqual(['secret', 'sub', 'sub/cache', 'sub/cache/a', 'sub/kept']);
    });

    test('a file replaces a file or link, never a directory', async () => {
      await writeFile(at('in', 'f'), 'new');
      await writeFile(at('victim'), 'kept');
      await symlink(at('victim'), at('out', 'f'));
      await opened.files.unpack(opened.files.pack(at('in', 'f'), 'f'), at('out'), 'f');
      expect(await readFile(at('out', 'f'), 'utf8')).toBe('new');
      expect(await readFile(at('victim'), 'utf8')).toBe('kept');
      await mkdir(at('out', 'd'));
      await expect(opened.files.unpack(opened.files.pack(at('in', 'f'), 'f'), at('out'), 'd')).rejects.toMatchObject({
        code: 'OCT_INVALID_ARGUMENT',
      });
    });

    const hostile: readonly (readonly [string, readonly TarMember[]])[] = [
      ['an absolute name', [{ name: '/etc/oct-planted' }]],
      ['a name that climbs', [{ name: 'a/../../oct-planted' }]],
      [
        'a file through a link of the archive',
        [
          { name: 'a', type: 'directory' },
          { name: 'a/l', type: 'symlink', linkname: '.' },
          { name: 'a/l/oct-planted' },
        ],
      ],
      ['a file through a link that is there', [{ name: 'a/there/oct-planted' }]],
      ['a hard link to a file outside', [{ name: 'a/h', type: 'link', linkname: '../../victim' }]],
      ['a hard link through a link', [{ name: 'a/h', type: 'link', linkname: 'a/there/victim' }]],
    ];
    test.each(hostile)('%s writes nothing outside', async (_title, members) => {
      await writeFile(at('victim'), 'kept');
      await mkdir(at('out', 'a'));
      await symlink(directory, at('out', 'a', 'there'));
      await expect(opened.files.unpack(opened.tarOf(members), at('out'), 'a')).rejects.toMatchObject({ code: /^OCT_/ });
      expect((await readdir(directory)).sort()).toEqual(['in', 'out', 'victim']);
      expect((await stat(at('victim'))).nlink).toBe(1);
    });

    test('links that leave the tree, and devices, are left out and told', async () => {
      const { skipped } = await opened.files.unpack(
        opened.tarOf([
          { name: 'a', type: 'directory' },
          { name: 'a/up', type: 'symlink', linkname: '../../../etc/passwd' },
          { name: 'a/abs', type: 'symlink', linkname: '/etc/passwd' },
          { name: 'a/dev', type: 'character-device' },
          { name: 'a/in', type: 'symlink', linkname: './x' },
        ]),
        at('out'),
        'a',
      );
      expect(skipped.map((each) => each.path)).toEqual(['a/up', 'a/abs', 'a/dev']);
      expect(await readdir(at('out', 'a'))).toEqual(['in']);
    });

    test('a directory swapped for a link while a stream is unpacked leads nowhere', async () => {
      await mkdir(at('elsewhere'));
      async function* swapping(): AsyncGenerator<Uint8Array> {
        const whole = Buffer.concat(
          await chunksOf(
            opened.tarOf([
              { name: 'a', type: 'directory' },
              { name: 'a/d', type: 'directory' },
              { name: 'a/d/planted' },
            ]),
          ),
        );
        yield whole.subarray(0, 1_024);
        await new Promise(setImmediate);
        await rename(at('out', 'a', 'd'), at('out', 'moved')).catch(() => undefined);
        await symlink(at('elsewhere'), at('out', 'a', 'd')).catch(() => undefined);
        yield whole.subarray(1_024);
      }
      await opened.files.unpack(swapping(), at('out'), 'a').catch(() => undefined);
      expect(await readdir(at('elsewhere'))).toEqual([]);
    });

    test('a stream that ends early is an error', async () => {
      await writeFile(at('in', 'f'), 'content');
      const whole = Buffer.concat(await chunksOf(opened.files.pack(at('in'), 'in')));
      async function* half(): AsyncGenerator<Uint8Array> {
        yield await Promise.resolve(whole.subarray(0, 1_100));
      }
      await expect(opened.files.unpack(half(), at('out'), 'x')).rejects.toMatchObject({
        code: 'OCT_ENGINE_UNAVAILABLE',
      });
    });
  });
}

async function chunksOf(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(Uint8Array.from(chunk));
  return chunks;
}

async function* stopping(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
  throw new Error('source broke');
}
