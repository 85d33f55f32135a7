import { createHash } from 'node:crypto';
import {
  type FileAccess,
  type HomeId,
  type SandboxFiles,
  type SandboxHandle,
  type SandboxRuntime,
  createIds,
  systemClock,
} from '@opencode-tools/core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { runIn, samplePlan } from './sandbox-samples.ts';

export interface OpenSandboxFiles {
  readonly runtime: SandboxRuntime;
  readonly homeId: HomeId;
  /** An image with a shell, the usual programs and a user 1000. */
  readonly imageId: string;
  readonly close: () => Promise<void>;
}

const ids = createIds(systemClock);
const everyByte = Buffer.from(Array.from({ length: 1_024 }, (_, index) => index % 256));

const access = (change: Partial<FileAccess> = {}): FileAccess => ({
  executionId: ids.next('execution'),
  token: 5,
  ...change,
});
const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Says what `SandboxHandle.files` does. Called at the top level of a test file. */
export function sandboxFilesContract(name: string, open: () => Promise<OpenSandboxFiles>): void {
  describe(`${name}: files of a sandbox`, () => {
    let opened: OpenSandboxFiles;
    let sandbox: SandboxHandle;
    let files: SandboxFiles;
    beforeAll(async () => {
      opened = await open();
      sandbox = await opened.runtime.create(samplePlan(opened.homeId, opened.imageId));
      files = sandbox.files;
    });
    afterAll(async () => {
      await sandbox.destroy();
      await opened.close();
    });
    beforeEach(async () => {
      await sh('cd /workspace && chmod -R u+rwx . && rm -rf ./* ./.[!.]*; true');
    });

    const sh = async (script: string): Promise<string> => {
      const { stdout, reason } = await runIn(sandbox, script);
      expect(reason).toBe('exited');
      return stdout;
    };
    const write = async (path: string, content: Uint8Array | string, change = {}) =>
      files.write(access(), {
        path: `/workspace/${path}`,
        content: typeof content === 'string' ? Buffer.from(content) : content,
        makeParents: false,
        ...change,
      });
    const read = async (path: string, change = {}) =>
      files.read(access(), { path: `/workspace/${path}`, limitBytes: 1024 ** 2, withDigest: true, ...change });
    const tidy = async (): Promise<void> => expect(await sh('find /workspace -name ".oct-*"')).toBe('');

    describe('writing', () => {
      test.each([
        ['nothing', Buffer.alloc(0)],
        ['text', Buffer.from("it's\n\\n $HOME `id` %s ünïcode \u{1f600}\n\n\n")],
        ['every byte', everyByte],
        ['more than fits a command line', Buffer.alloc(3 * 1024 ** 2 + 5, everyByte)],
      ])('%s is read back as it was', async (_title, content) => {
        const written = await write('file', content);
        expect(written).toEqual({
          path: '/workspace/file',
          sizeBytes: content.length,
          digest: digestOf(content),
          created: true,
        });
        const got = await read('file', { limitBytes: 8 * 1024 ** 2 });
        expect(Buffer.compare(got.bytes, content)).toBe(0);
        expect(got).toMatchObject({ truncated: false, digest: digestOf(content) });
        expect(got.facts).toMatchObject({ type: 'file', sizeBytes: content.length, mode: 0o644, uid: 1000, gid: 1000 });
        await tidy();
      });

      test('replaces a file and keeps its mode, unless another is given', async () => {
        await sh('echo old >a; chmod 750 a');
        expect((await write('a', 'new')).created).toBe(false);
        expect(await sh('cat a; stat -c " %a" a')).toBe('new 750\n');
        await write('a', 'newer', { mode: 0o600 });
        expect(await sh('stat -c %a a')).toBe('600\n');
      });

      test('only what is expected is replaced; otherwise nothing changes', async () => {
        const { digest } = await write('a', 'one', { expect: { kind: 'absent' } });
        await expect(write('a', 'two', { expect: { kind: 'absent' } })).rejects.toMatchObject({
          code: 'OCT_VERSION_CONFLICT',
        });
        await write('a', 'two', { expect: { kind: 'digest', digest } });
        await expect(write('a', 'three', { expect: { kind: 'digest', digest } })).rejects.toMatchObject({
          code: 'OCT_VERSION_CONFLICT',
        });
        await expect(write('b', 'x', { expect: { kind: 'digest', digest } })).rejects.toMatchObject({
          code: 'OCT_FILE_NOT_FOUND',
        });
        expect(await sh('cat a; ls -A')).toBe('twoa\n');
      });

      test('of eight that expect the same, one wins', async () => {
        const { digest } = await write('a', 'start');
        const all = await Promise.allSettled(
          Array.from({ length: 8 }, async (_, index) =>
            write('a', `writer ${index}`, { expect: { kind: 'digest', digest } }),
          ),
        );
        const winners = all.flatMap((one, index) => (one.status === 'fulfilled' ? [index] : []));
        expect(winners).toHaveLength(1);
        expect(await sh('cat a')).toBe(`writer ${winners[0]}`);
      });

      test('of eight that create the same, one wins', async () => {
        const all = await Promise.allSettled(
          Array.from({ length: 8 }, async (_, index) => write('new', `${index}`, { expect: { kind: 'absent' } })),
        );
        expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
        await tidy();
      });

      test('follows a link to the file it names and leaves the link', async () => {
        await sh('mkdir d; echo old >d/real; ln -s d/real link; ln -s nowhere dangling; ln -s d dir');
        expect((await write('link', 'new')).path).toBe('/workspace/d/real');
        expect((await write('dir/other', 'x')).path).toBe('/workspace/d/other');
        expect(await sh('cat d/real; readlink link')).toBe('newd/real\n');
      });

      test('makes directories above only when asked to', async () => {
        await expect(write('a/b/c', 'x')).rejects.toMatchObject({ code: 'OCT_FILE_NOT_FOUND' });
        await write('a/b/c', 'x', { makeParents: true });
        expect(await sh('cat a/b/c')).toBe('x');
      });

      test('a stream is written whole, or not at all when it fails', async () => {
        const chunks = Array.from({ length: 40 }, (_, index) => Buffer.alloc(100_000, index));
        const whole = await write('big', Buffer.alloc(0), { content: streamOf(chunks) });
        expect(whole).toMatchObject({ sizeBytes: 4_000_000, digest: digestOf(Buffer.concat(chunks)) });
        await expect(
          write('big', Buffer.alloc(0), { content: streamOf(chunks.slice(0, 3), new Error('source broke')) }),
        ).rejects.toThrow('source broke');
        expect(await sh('sha256sum <big')).toBe(`${whole.digest}  -\n`);
        await tidy();
      });

      test('what the user may not write, and what is no file, is refused and left alone', async () => {
        await sh('mkdir dir; mkfifo pipe; echo ro >ro; chmod 444 ro; mkdir closed; chmod 555 closed');
        for (const path of ['dir', 'pipe', 'ro', 'closed/new', '../etc/passwd', '../proc/self/status'])
          await expect(write(path, 'x')).rejects.toMatchObject({ code: 'OCT_FILE_REFUSED' });
        expect(await sh('cat ro; head -n 1 /etc/passwd')).toMatch(/^ro\nroot/);
      });

      test('a file system that is full is said to be, and the old file stays', async () => {
        await sh('echo old >/tmp/a');
        const content = streamOf(Array.from({ length: 80 }, () => Buffer.alloc(1024 ** 2)));
        await expect(write('../tmp/a', '', { content })).rejects.toMatchObject({ code: 'OCT_RESOURCE_LIMIT' });
        expect(await sh('cat /tmp/a; ls -A /tmp | grep -E "oct-[0-9a-f]{24}"; rm -f /tmp/a')).toBe('old\n');
      });

      test('under a token that was fenced off nothing is touched', async () => {
        await expect(
          files.write(access({ token: 4 }), { path: '/workspace/a', content: everyByte, makeParents: false }),
        ).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
        await expect(
          files.remove(access({ token: 4 }), { path: '/workspace', recursive: true, tell: false }),
        ).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
        expect(await sh('ls -A')).toBe('');
      });

      test('a link that is swapped all the time never leads a write into two places or a torn file', async () => {
        await sh('mkdir a b; : >a/f; : >b/f; ln -s a/f link');
        const swapping = runIn(sandbox, 'while [ ! -e stop ]; do ln -sf b/f link; ln -sf a/f link; done');
        for (let round = 0; round < 10; round += 1) {
          const { path } = await write('link', `round ${round} `.repeat(500));
          expect(['/workspace/a/f', '/workspace/b/f', '/workspace/link']).toContain(path);
        }
        await write('stop', '');
        await swapping;
        expect(await sh('cat a/f b/f | tr -d "a-z 0-9"')).toBe('');
        await tidy();
      });
    });

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
        const swapping = runIn(sandbox, 'while [ ! -e stop ]; do ln -sf pipe link; ln -sf plain link; done');
        const reads = await Promise.allSettled(
          Array.from({ length: 12 }, async () =>
            files.read(access({ timeoutMs: 1_000 }), { path: '/workspace/link', limitBytes: 10, withDigest: false }),
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
        expect(await files.stat(access(), path)).toMatchObject({ path, type: 'file', sizeBytes: 21, target: null });
        expect((await files.list(access(), { path: '/workspace', depth: 1 })).map((entry) => entry.path)).toEqual([
          name,
        ]);
        const names: string[] = [];
        await files.names(access(), '/workspace', (found) => void names.push(found));
        expect(names).toEqual([name]);
        const { matches } = await search('needle');
        expect(matches).toEqual([{ path: name, line: 1, text: 'content with a needle' }]);
        await files.move(access(), { from: path, to: `${path}2`, replace: false });
        expect(Buffer.from((await read(`${name}2`)).bytes).toString()).toBe('content with a needle');
        expect(await files.remove(access(), { path: `${path}2`, recursive: false, tell: false })).toEqual([`${path}2`]);
        expect(await sh('ls -A')).toBe('');
      });

      test('a directory of 100,000 is listed and looked through', async () => {
        await sh('mkdir many; cd many; seq 1 100000 | xargs touch');
        const entries = await files.list(access(), { path: '/workspace/many', depth: 1 });
        expect(entries).toHaveLength(100_000);
        expect(entries[0]).toMatchObject({ path: '1', type: 'file', sizeBytes: 0 });
        let count = 0;
        await files.names(access(), '/workspace', () => void (count += 1));
        expect(count).toBe(100_001);
        const removed = await files.remove(access(), { path: '/workspace/many', recursive: true, tell: true });
        expect(removed).toHaveLength(100_001);
      }, 240_000);
    });

    const search = async (pattern: string, change = {}) =>
      files.search(access(), {
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
        expect(await paths('c', { accepts: (path: string) => path.startsWith('.hidden/') })).toEqual([
          '.hidden/three:1',
        ]);
        expect(await paths('-e')).toEqual([]);
      });

      test('stops at its limit', async () => {
        await sh('seq 1 3000 >numbers');
        const found = await search('1', { limit: 5 });
        expect(found.truncated).toBe(true);
        expect(found.matches.map(({ text }) => text)).toEqual(['1', '10', '11', '12', '13']);
      });

      test('an expression that is none is refused', async () => {
        await expect(search('a(', { kind: 'regex' })).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
      });
    });

    describe('moving, removing, making', () => {
      test('a move replaces only when asked to, and never ends inside a directory', async () => {
        await sh('echo a >a; echo b >b; mkdir d; ln -s d l');
        const move = async (from: string, to: string, replace = false): Promise<void> =>
          files.move(access(), { from: `/workspace/${from}`, to: `/workspace/${to}`, replace });
        await expect(move('a', 'b')).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
        await expect(move('a', 'd', true)).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
        await expect(move('no', 'x')).rejects.toMatchObject({ code: 'OCT_FILE_NOT_FOUND' });
        await move('a', 'b', true);
        await move('b', 'l', true);
        expect(await sh('ls -A . d; cat l')).toBe('.:\nd\nl\n\nd:\na\n');
      });

      test('a directory goes only when it is empty or all of it is meant; a link goes, not what it names', async () => {
        await sh('mkdir -p d/e; echo x >d/e/f; mkdir keep; echo y >keep/k; ln -s keep link');
        const remove = async (path: string, recursive: boolean) =>
          files.remove(access(), { path: `/workspace/${path}`, recursive, tell: true });
        await expect(remove('d', false)).rejects.toMatchObject({ code: 'OCT_FILE_REFUSED' });
        expect([...(await remove('d', true))].sort()).toEqual(['/workspace/d', '/workspace/d/e', '/workspace/d/e/f']);
        await remove('link', true);
        expect(await sh('cat keep/k; ls -A')).toBe('y\nkeep\n');
        await files.makeDirectory(access(), '/workspace/x/y/z');
        await files.makeDirectory(access(), '/workspace/x/y/z');
        await expect(files.makeDirectory(access(), '/workspace/keep/k/no')).rejects.toMatchObject({
          code: 'OCT_FILE_REFUSED',
        });
      });

      test('a link is described with what it says and where it ends', async () => {
        await sh('mkdir d; echo x >d/f; ln -s d/f link; ln -s gone dangling');
        expect(await files.stat(access(), '/workspace/link')).toMatchObject({
          type: 'symlink',
          target: 'd/f',
          real: '/workspace/d/f',
        });
        expect(await files.stat(access(), '/workspace/dangling')).toMatchObject({ type: 'symlink', target: 'gone' });
      });
    });

    describe('trees', () => {
      test('packed and extracted, modes and links stay', async () => {
        await sh(
          'mkdir -p t/sub; echo 1 >t/sub/run; chmod 755 t/sub/run; ln -s ../../etc/passwd t/out; ln -s sub/run t/in',
        );
        const tar = Buffer.concat(await all(files.pack(access(), '/workspace/t')));
        const told = await files.extract(access(), { path: '/workspace/copy/here', tar: streamOf([tar]), tell: true });
        expect(told.length).toBeGreaterThanOrEqual(4);
        expect(await sh('cd copy/here/t; stat -c %a sub/run; readlink out; readlink in; cat in')).toBe(
          '755\n../../etc/passwd\nsub/run\n1\n',
        );
      });

      test('100 MB goes through without being held', async () => {
        await sh('head -c 100000000 /dev/zero >zeros');
        let bytes = 0;
        for await (const chunk of files.pack(access(), '/workspace/zeros')) bytes += chunk.length;
        expect(bytes).toBeGreaterThan(100_000_000);
        expect(await sh('rm zeros')).toBe('');
      });

      test('a reader that stops early ends the packing', async () => {
        await sh('truncate -s 4G huge');
        for await (const chunk of files.pack(access(), '/workspace/huge')) {
          expect(chunk.length).toBeGreaterThan(0);
          break;
        }
        expect(await sh('rm huge; echo ok')).toBe('ok\n');
      });

      test('what is absent, and a stream that is no tar, fails', async () => {
        await expect(all(files.pack(access(), '/workspace/none'))).rejects.toMatchObject({
          code: 'OCT_FILE_NOT_FOUND',
        });
        await expect(
          files.extract(access(), { path: '/workspace', tar: streamOf([Buffer.from('no tar at all')]), tell: false }),
        ).rejects.toMatchObject({ code: 'OCT_FILE_REFUSED' });
      });
    });

    test('a root file system that is read-only says so, the workspace is written', async () => {
      const plan = samplePlan(opened.homeId, opened.imageId, { readOnlyRoot: true });
      const closed = await opened.runtime.create(plan);
      try {
        const put = async (path: string) =>
          closed.files.write(access(), { path, content: Buffer.from('x'), makeParents: false });
        await expect(put('/opt/x')).rejects.toMatchObject({ code: 'OCT_FILE_REFUSED' });
        expect(await put('/tmp/x')).toMatchObject({ created: true });
      } finally {
        await closed.destroy();
      }
    });
  });
}

async function* streamOf(chunks: readonly Uint8Array[], failure?: Error): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield await Promise.resolve(chunk);
  if (failure !== undefined) throw failure;
}

async function all(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}
