import { describe, expect, test } from 'vitest';
import { type FilesBed, access, all, streamOf } from './files-bed.ts';

/** Moving, removing, and whole trees. */
export function describeTrees(bed: FilesBed): void {
  const { sh } = bed;

  describe('moving, removing, making', () => {
    test('a move replaces only when asked to, and never ends inside a directory', async () => {
      await sh('echo a >a; echo b >b; mkdir d; ln -s d l');
      const move = async (from: string, to: string, replace = false): Promise<void> =>
        bed.files().move(access(), { from: `/workspace/${from}`, to: `/workspace/${to}`, replace });
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
        bed.files().remove(access(), { path: `/workspace/${path}`, recursive, tell: true });
      await expect(remove('d', false)).rejects.toMatchObject({ code: 'OCT_FILE_REFUSED' });
      expect([...(await remove('d', true))].sort()).toEqual(['/workspace/d', '/workspace/d/e', '/workspace/d/e/f']);
      await remove('link', true);
      expect(await sh('cat keep/k; ls -A')).toBe('y\nkeep\n');
      await bed.files().makeDirectory(access(), '/workspace/x/y/z');
      await bed.files().makeDirectory(access(), '/workspace/x/y/z');
      await expect(bed.files().makeDirectory(access(), '/workspace/keep/k/no')).rejects.toMatchObject({
        code: 'OCT_FILE_REFUSED',
      });
    });

    test('a link is described with what it says and where it ends', async () => {
      await sh('mkdir d; echo x >d/f; ln -s d/f link; ln -s gone dangling');
      expect(await bed.files().stat(access(), '/workspace/link')).toMatchObject({
        type: 'symlink',
        target: 'd/f',
        real: '/workspace/d/f',
      });
      expect(await bed.files().stat(access(), '/workspace/dangling')).toMatchObject({
        type: 'symlink',
        target: 'gone',
      });
    });
  });

  describe('trees', () => {
    test('packed and extracted, modes and links stay', async () => {
      await sh(
        'mkdir -p t/sub; echo 1 >t/sub/run; chmod 755 t/sub/run; ln -s ../../etc/passwd t/out; ln -s sub/run t/in',
      );
      const tar = Buffer.concat(await all(bed.files().pack(access(), '/workspace/t')));
      const told = await bed
        .files()
        .extract(access(), { path: '/workspace/copy/here', tar: streamOf([tar]), tell: true });
      expect(told.length).toBeGreaterThanOrEqual(4);
      expect(await sh('cd copy/here/t; stat -c %a sub/run; readlink out; readlink in; cat in')).toBe(
        '755\n../../etc/passwd\nsub/run\n1\n',
      );
    });

    test('100 MB goes through without being held', async () => {
      await sh('head -c 100000000 /dev/zero >zeros');
      let bytes = 0;
      for await (const chunk of bed.files().pack(access(), '/workspace/zeros')) bytes += chunk.length;
      expect(bytes).toBeGreaterThan(100_000_000);
      expect(await sh('rm zeros')).toBe('');
    });

    test('a reader that stops early ends the packing', async () => {
      await sh('truncate -s 4G huge');
      for await (const chunk of bed.files().pack(access(), '/workspace/huge')) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
      expect(await sh('rm huge; echo ok')).toBe('ok\n');
    });

    test('what is absent, and a stream that is no tar, fails', async () => {
      await expect(all(bed.files().pack(access(), '/workspace/none'))).rejects.toMatchObject({
        code: 'OCT_FILE_NOT_FOUND',
      });
      await expect(
        bed
          .files()
          .extract(access(), { path: '/workspace', tar: streamOf([Buffer.from('no tar at all')]), tell: false }),
      ).rejects.toMatchObject({ code: 'OCT_FILE_REFUSED' });
    });
  });
}
