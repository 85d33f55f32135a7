import { describe, expect, test } from 'vitest';
import { runIn } from '../sandbox-samples.ts';
import { type FilesBed, access, digestOf, everyByte } from './files-bed.ts';

/** Reading, odd names, and searching. */
export function describeReading(bed: FilesBed): void {
  const { sh, write, read } = bed;

  describe('reading', () => {
    test('gives ranges of bytes and of lines', async () => {
      const content = Buffer.alloc(300_000, everyByte);
      await write('bytes', content);
      const part = await read('bytes', { range: { unit: 'bytes', offset: 131_070, length: 7 } });
      expect(Buffer.from(part.bytes)).toEqual(content.subarray(131_070, 131_077));
      expect(part.digest).toBe(digestOf(content));
      const end = await read('bytes', { range: { unit: 'bytes', offset: 299_990, length: 50 } });
      expect(end.bytes).toHaveLength(10);
      const past = await read('bytes', { range: { unit: 'bytes', offset: 400_000, length: 5 } });
      expect(past.bytes).toHaveLength(0);
      await sh('seq 1 5000 >lines');
      const lines = await read('lines', { range: { unit: 'lines', first: 4_998, count: 2 } });
      expect(Buffer.from(lines.bytes).toString()).toBe('4998\n4999\n5000\n');
    });

    test('stops at the limit and says so, however large the file is', async () => {
      await sh('truncate -s 8G huge');
      const head = await read('huge', { withDigest: false, limitBytes: 10 });
      expect(head).toMatchObject({ truncated: true, digest: null, facts: { sizeBytes: 8 * 1024 ** 3 } });
      expect(head.bytes).toHaveLength(10);
      const range = { unit: 'bytes', offset: 8 * 1024 ** 3 - 4, length: 100 } as const;
      expect((await read('huge', { withDigest: false, range })).bytes).toHaveLength(4);
    });

    test('a file beyond the limit for digests is read without one, and not read through', async () => {
      await sh('truncate -s 8G huge; echo abc >small');
      const digestLimitBytes = 1024 ** 2;
      const started = performance.now();
      const lines = { unit: 'lines', first: 1, count: 1 } as const;
      expect(await read('huge', { digestLimitBytes, limitBytes: 10 })).toMatchObject({ truncated: true, digest: null });
      expect((await read('huge', { digestLimitBytes, limitBytes: 10, range: lines })).digest).toBeNull();
      expect(performance.now() - started).toBeLessThan(10_000);
      expect((await read('small', { digestLimitBytes, limitBytes: 1 })).digest).toBe(digestOf(Buffer.from('abc\n')));
      expect((await read('small', { digestLimitBytes, range: lines })).digest).toBe(digestOf(Buffer.from('abc\n')));
    });

    test('files without a size of their own are read to their end', async () => {
      const got = await read('../proc/self/status');
      expect(Buffer.from(got.bytes).toString()).toContain('Uid:\t1000');
      expect(got.facts.sizeBytes).toBe(0);
    });

    test('nothing waits for a writer: what is no regular file is refused', async () => {
      await sh('mkfifo pipe; mkdir dir; ln -s pipe to-pipe');
      for (const path of ['pipe', 'dir', 'to-pipe', '../dev/zero', '../dev/null'])
        await expect(read(path)).rejects.toMatchObject({ code: 'OCT_FILE_REFUSED' });
      await expect(read('absent')).rejects.toMatchObject({ code: 'OCT_FILE_NOT_FOUND' });
    });

    test('a path that turns into a pipe is given up after its time', async () => {
      await sh('mkfifo pipe; echo x >plain; ln -s plain link');
      const swapping = runIn(bed.sandbox(), 'while [ ! -e stop ]; do ln -sf pipe link; ln -sf plain link; done');
      const reads = await Promise.allSettled(
        Array.from({ length: 12 }, async () =>
          bed
            .files()
            .read(access({ timeoutMs: 1_000 }), { path: '/workspace/link', limitBytes: 10, withDigest: false }),
        ),
      );
      await write('stop', '');
      await swapping;
      for (const one of reads) {
        if (one.status === 'rejected')
          expect(['OCT_FILE_REFUSED', 'OCT_TIMEOUT', 'OCT_FILE_NOT_FOUND']).toContain(
            (one.reason as { code: string }).code,
          );
        else expect(Buffer.from(one.value.bytes).toString()).toBe('x\n');
      }
    });
  });

  describe('names', () => {
    const odd = [
      'line\nbreak',
      'trailing\n',
      "quo'te",
      'dou"ble',
      '-n',
      '--help',
      '*',
      '$(id)',
      ' space ',
      'ünï',
      'back\\slash',
      'bad\udcff\udc80byte',
      '\udcc3',
    ];

    test.each(odd)('%j is written, described, listed, found, moved and removed', async (name) => {
      await write(name, 'content with a needle');
      const path = `/workspace/${name}`;
      expect(await bed.files().stat(access(), path)).toMatchObject({ path, type: 'file', sizeBytes: 21, target: null });
      expect((await bed.files().list(access(), { path: '/workspace', depth: 1 })).map((entry) => entry.path)).toEqual([
        name,
      ]);
      const names: string[] = [];
      await bed.files().names(access(), '/workspace', (found) => void names.push(found));
      expect(names).toEqual([name]);
      const { matches } = await search('needle');
      expect(matches).toEqual([{ path: name, line: 1, text: 'content with a needle' }]);
      await bed.files().move(access(), { from: path, to: `${path}2`, replace: false });
      expect(Buffer.from((await read(`${name}2`)).bytes).toString()).toBe('content with a needle');
      expect(await bed.files().remove(access(), { path: `${path}2`, recursive: false, tell: false })).toEqual([
        `${path}2`,
      ]);
      expect(await sh('ls -A')).toBe('');
    });

    test('a directory of 100,000 is listed and looked through', async () => {
      await sh('mkdir many; cd many; seq 1 100000 | xargs touch');
      const entries = await bed.files().list(access(), { path: '/workspace/many', depth: 1 });
      expect(entries).toHaveLength(100_000);
      expect(entries[0]).toMatchObject({ path: '1', type: 'file', sizeBytes: 0 });
      let count = 0;
      await bed.files().names(access(), '/workspace', () => void (count += 1));
      expect(count).toBe(100_001);
      const removed = await bed.files().remove(access(), { path: '/workspace/many', recursive: true, tell: true });
      expect(removed).toHaveLength(100_001);
    }, 240_000);
  });

  const search = async (pattern: string, change = {}) =>
    bed.files().search(access(), {
      path: '/workspace',
      pattern,
      kind: 'literal',
      ignoreCase: false,
      accepts: () => true,
      limit: 100,
      ...change,
    });

  describe('searching text', () => {
    test('finds lines by text or expression, in one file or below a directory', async () => {
      await sh(
        'mkdir -p src .git node_modules .hidden; echo "a.b*c" >src/one; printf "x\\nA.B*C\\nend" >src/two; echo a.b*c >.git/no; echo a.b*c >node_modules/no; echo aXbbc >.hidden/three; printf "a.b*c\\0" >binary',
      );
      const paths = async (pattern: string, change = {}) =>
        (await search(pattern, change)).matches.map(({ path, line }) => `${path}:${line}`).sort();
      expect(await paths('a.b*c')).toEqual(['src/one:1']);
      expect(await paths('a.b*c', { ignoreCase: true })).toEqual(['src/one:1', 'src/two:2']);
      expect(await paths('a.b+c', { kind: 'regex' })).toEqual(['.hidden/three:1']);
      expect(await paths('a.b*c', { path: '/workspace/src/one' })).toEqual(['one:1']);
      expect(await paths('c', { accepts: (path: string) => path.startsWith('.hidden/') })).toEqual(['.hidden/three:1']);
      expect(await paths('-e')).toEqual([]);
    });

    test('stops at its limit', async () => {
      await sh('seq 1 3000 >numbers');
      const found = await search('1', { limit: 5 });
      expect(found.truncated).toBe(true);
      expect(found.matches.map(({ text }) => text)).toEqual(['1', '10', '11', '12', '13']);
    });

    test('what would wait for a writer is refused at once', async () => {
      await sh('mkfifo pipe');
      await expect(search('x', { path: '/workspace/pipe' })).rejects.toMatchObject({ code: 'OCT_FILE_REFUSED' });
      await expect(search('x', { path: '/dev/zero' })).rejects.toMatchObject({ code: 'OCT_FILE_REFUSED' });
    });

    test('an expression that is none is refused', async () => {
      await expect(search('a(', { kind: 'regex' })).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    });
  });
}
