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
      await expect(move('a', 'b')).rejects.toMatchObject({
        code: 'OCT_VERSION_CONFLICT',
        message: '/workspace/b exists already',
      });
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
      await sh('mkdir d; echo x >d/f; ln -s d/f link; ln -s gone dangling; ln -s loop loop');
      expect(await bed.files().stat(access(), '/workspace/loop')).toMatchObject({ target: 'loop', real: null });
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

    test('extracted over what is there, files take the place of files, and what is not in the stream stays', async () => {
      await sh(`mkdir -p t/both/deep t/fresh/sub t/closed t/becomes t/many; cd t
        for name in a both/b both/deep/c fresh/sub/d closed/e 'odd * name' .hidden ..two -dash; do echo new >"$name"; done
        i=0; while [ $i -lt 300 ]; do echo $i >many/$i; i=$((i + 1)); done
        chmod 750 both; echo f >becomes/f; ln -s both link; mkfifo pipe; ln a hard
        # The tar of busybox extracts nothing into a directory of such a mode.
        if tar --version 2>&1 | grep -q GNU; then chmod 555 closed fresh; fi; stat -c %a both closed fresh >../modes`);
      const tar = Buffer.concat(await all(bed.files().pack(access(), '/workspace/t')));
      await sh(`chmod -R u+w t; mv t old; mkdir -p t/both/deep t/closed t/many elsewhere t/link2; cd t
        for name in a both/b both/own closed/own becomes many/5; do echo old >"$name"; done
        ln -s /workspace/elsewhere link; chmod 700 both; ln -s /etc/passwd hard`);
      await bed.files().extract(access(), { path: '/workspace', tar: streamOf([tar]), tell: true });
      expect(
        await sh(`cd t; cat a both/b both/deep/c both/own closed/e closed/own fresh/sub/d becomes/f 'odd * name' .hidden ..two ./-dash hard many/5 many/299
          readlink link; stat -c %a both closed fresh | cmp - ../modes; ls many | wc -l; ls -A ../elsewhere; [ -p pipe ] && echo pipe; chmod -R u+w .`),
      ).toBe(`${'new\n'.repeat(3)}old\nnew\nold\nnew\nf\n${'new\n'.repeat(5)}5\n299\nboth\n300\npipe\n`);
      await bed.tidy();
    });

    test('a stream that breaks off changes nothing, and a place of which no directory can be made is written to directly', async () => {
      await sh('mkdir -p t; echo new >t/a; head -c 300000 /dev/urandom >t/b');
      const tar = Buffer.concat(await all(bed.files().pack(access(), '/workspace/t')));
      await sh('rm t/b; echo old >t/a');
      const broken = streamOf([tar.subarray(0, 200_000)], new Error('source broke'));
      const extract = async (path: string, from: AsyncIterable<Uint8Array>) =>
        bed.files().extract(access(), { path, tar: from, tell: false });
      await expect(extract('/workspace', broken)).rejects.toThrow('source broke');
      await bed.files().removeTemporary(access(), { path: '/workspace', temporary: '.oct-00000000' });
      expect(await sh('cat t/a; ls t')).toBe('old\na\n');
      await sh('mkdir w; mv t w/t; chmod 555 w');
      await extract('/workspace/w', streamOf([tar]));
      expect(await sh('cat w/t/a; ls w w/t; chmod 755 w')).toBe('new\nw:\nt\n\nw/t:\na\nb\n');
      await bed.tidy();
    });

    test('what a killed change has beside its place goes by its name, also where a link leads', async () => {
      await sh(
        'mkdir d e; : >d/real; ln -s ../d/real e/link; mkdir -p d/.oct-00000001/x e/.oct-00000001; chmod 555 d/.oct-00000001',
      );
      await sh('echo half >.oct-00000001; echo other >.oct-00000002');
      for (const path of ['e/link', 'file', 'e'])
        await bed.files().removeTemporary(access(), { path: `/workspace/${path}`, temporary: '.oct-00000001' });
      expect(await sh('find . -name ".oct-*"')).toBe('./.oct-00000002\n');
      const request = { path: '/workspace/x', temporary: '../../etc/passwd' };
      await expect(bed.files().removeTemporary(access(), request)).rejects.toMatchObject({
        code: 'OCT_INVALID_ARGUMENT',
      });
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
