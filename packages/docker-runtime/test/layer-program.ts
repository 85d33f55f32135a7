import { gunzipSync } from 'node:zlib';
import { layerPrograms } from '../src/layers/layer-programs.ts';

const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

export const isRoot = process.getuid?.() === 0;

/** The program that works on layers, as this machine runs it; undefined where there is none for it. */
export function layerProgram(): Buffer | undefined {
  const packed = layerPrograms[architectures[process.arch] ?? ''];
  return packed === undefined ? undefined : gunzipSync(Buffer.from(packed, 'base64'));
}

/** A script of bash that makes one of every odd thing that a tree may have. */
export const oddTree = [
  'mkdir -p a/b/c empty many; echo one >a/one; ln a/one z; ln a/one a/b/link; : >a/nothing',
  `echo odd >$'odd \\xff\\xfe\\n =%'; echo u >ü; ln -s a/one s; ln -P s s2; ln -s ${'t'.repeat(150)} far; mkfifo pipe`,
  `echo long >${'x'.repeat(98)}; echo longer >${'x'.repeat(99)}; mkdir -p ${'y'.repeat(200)}/z; truncate -s 3M sparse; echo x >>sparse`,
  'head -c 512 /dev/zero >a/block; head -c 513 /dev/zero >a/more; chmod 6751 a/one; chmod 1777 a/b',
  'for n in $(seq 300); do echo "$n" >many/$n; done; head -c 700000 /dev/urandom >big',
  "touch -d '@-2.5' far a/block; touch -d '@1000000000.12' a/more; touch -d @9999999999 empty",
  ...(isRoot
    ? [
        'chown 3000000:5000000 a/more; mknod gone c 0 0; mknod disk b 8 300; setfattr -n user.a=% -v b a/one 2>/dev/null || :',
      ]
    : []),
].join('\n');
