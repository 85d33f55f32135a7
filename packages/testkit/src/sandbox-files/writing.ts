import { describe, expect, test } from 'vitest';
import { runIn, samplePlan } from '../sandbox-samples.ts';
import { type FilesBed, access, digestOf, everyByte, streamOf } from './files-bed.ts';

/** Writing, whole and safe from those who write at the same time. */
export function describeWriting(bed: FilesBed): void {
  const { sh, write, read, tidy } = bed;

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
        bed.files().write(access({ token: 4 }), { path: '/workspace/a', content: everyByte, makeParents: false }),
      ).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
      await expect(
        bed.files().remove(access({ token: 4 }), { path: '/workspace', recursive: true, tell: false }),
      ).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
      expect(await sh('ls -A')).toBe('');
    });

    test('a link that is swapped all the time never leads a write into two places or a torn file', async () => {
      await sh('mkdir a b; : >a/f; : >b/f; ln -s a/f link');
      const swapping = runIn(bed.sandbox(), 'while [ ! -e stop ]; do ln -sf b/f link; ln -sf a/f link; done');
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

  test('a root file system that is read-only says so, the workspace is written', async () => {
    const plan = samplePlan(bed.opened().homeId, bed.opened().imageId, { readOnlyRoot: true });
    const closed = await bed.opened().runtime.create(plan);
    try {
      const put = async (path: string) =>
        closed.files.write(access(), { path, content: Buffer.from('x'), makeParents: false });
      await expect(put('/opt/x')).rejects.toMatchObject({ code: 'OCT_FILE_REFUSED' });
      expect(await put('/tmp/x')).toMatchObject({ created: true });
    } finally {
      await closed.destroy();
    }
  });
}
