import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Header, pack } from 'tar-stream';
import { until } from '@opencode-tools/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isRoot, layerProgram, oddTree } from '../../test/layer-program.ts';
import { digestWords, fillWords } from './layer-requests.ts';

type Named = Partial<Header> & Pick<Header, 'name'>;

const program = layerProgram();
const runs = program !== undefined && isRoot;

let directory: string;
let file: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'oct-fill-'));
  chmodSync(directory, 0o755);
  file = join(directory, 'layer');
  writeFileSync(file, program ?? '', { mode: 0o755 });
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** What the program says of a layer that it fills with a tar. */
function fill(layer: string, tar: Uint8Array) {
  const { status, stdout, stderr } = spawnSync(file, fillWords(layer), { cwd: directory, input: tar });
  return { status, said: stdout.toString('latin1'), stderr: stderr.toString('latin1') };
}

function digestOf(layer: string): string {
  return spawnSync(file, digestWords(layer), { cwd: directory, encoding: 'latin1' }).stdout;
}

async function whole(tar: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function plant(name: string, script: string): string {
  const at = join(directory, name);
  mkdirSync(at);
  execFileSync('bash', ['-c', `set -eu; umask 022; ${script}`], { cwd: at, env: { ...process.env, LC_ALL: 'C' } });
  return at;
}

/** All of a tree but for its attributes: names, kinds, modes, owners, times, links and content. */
function shown(tree: string): readonly string[] {
  const look = `find . -printf '%P\\0%y %m %U %G %T@ %n %l\\0' | LC_ALL=C sort -z; find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum`;
  return execFileSync('bash', ['-c', look], { cwd: tree, encoding: 'latin1', maxBuffer: 2 ** 27 }).split('\0');
}

function tarOf(tree: string, ...options: readonly string[]): Buffer {
  const words = ['--numeric-owner', ...options, '-c', '.'];
  return execFileSync('tar', words, { cwd: tree, env: { ...process.env, LC_ALL: 'C' }, maxBuffer: 2 ** 28 });
}

const posix = ['--format=posix', '--pax-option=delete=atime,delete=ctime'];
/** One of everything that a frozen tree has; a thousand names, and files that no slot of the reader has room for. */
const tree = `${oddTree}\nrm -f pipe gone disk; head -c 262144 /dev/zero >slot; head -c 261632 /dev/urandom >under; head -c 5000001 /dev/urandom >large
mkdir deep; cd deep; for n in $(seq 60); do mkdir $n; echo $n >$n/x; cd $n; done; for n in $(seq 700); do head -c $n /dev/urandom >$n; done`;

test.runIf(runs).each([
  ['of a walk', [...posix, '--sort=name']],
  ['of a walk, long names told as GNU tar does', ['--format=gnu', '--sort=name']],
  ['of the directory', posix],
])('a layer is what a tar in the order %s says, and its digest that of what lies there', (_order, options) => {
  const planted = `tree-${options.length}-${options[0]?.length}`;
  const from = plant(planted, tree);
  // Times of this form are whole seconds, and large numbers of users have a form of their own, which is not read.
  const plain = 'chown 7:8 a/more; find . -depth -exec touch -hd @1000000000 {} +';
  if (options[0] === '--format=gnu') execFileSync('bash', ['-c', plain], { cwd: from });
  const layer = `of-${planted}`;
  const { status, said, stderr } = fill(layer, tarOf(from, ...options));
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(shown(join(directory, layer, 'd'))).toEqual(shown(from));
  expect(said).toBe(digestOf(layer));
});

test.runIf(runs)('a layer without a name in it, or with one file, has the digest of what lies there', () => {
  for (const [name, script] of [
    ['none', 'chmod 2750 .'],
    ['one', 'echo 1 >one; chown 7:8 . one'],
  ] as const) {
    const { status, said } = fill(`of-${name}`, tarOf(plant(name, script), ...posix, '--sort=name'));
    expect(status).toBe(0);
    expect(said).toBe(digestOf(`of-${name}`));
    expect(shown(join(directory, `of-${name}`, 'd'))).toEqual(shown(join(directory, name)));
  }
});

test.runIf(runs)('what a new name has from above is part of the digest', () => {
  const tar = tarOf(plant('plain', 'mkdir a; echo 1 >a/b'), ...posix, '--sort=name');
  const known = fill('of-plain', tar).said;
  const under = join(directory, 'under');
  mkdirSync(under);
  // A default list of one more user who may read: version, then kind, permissions and id of each.
  const entries = [
    [1, 7, -1],
    [2, 4, 1234],
    [4, 5, -1],
    [16, 5, -1],
    [32, 5, -1],
  ] as const;
  const list = Buffer.alloc(4 + 8 * entries.length);
  list.writeUInt32LE(2);
  for (const [at, [kind, permissions, id]] of entries.entries()) {
    list.writeUInt16LE(kind, 4 + 8 * at);
    list.writeUInt16LE(permissions, 6 + 8 * at);
    list.writeInt32LE(id, 8 + 8 * at);
  }
  const set = spawnSync('python3', [
    '-c',
    `import os,sys; os.setxattr(sys.argv[1], 'system.posix_acl_default', bytes.fromhex(sys.argv[2]))`,
    under,
    list.toString('hex'),
  ]);
  expect(set.status).toBe(0);
  const { stdout } = spawnSync(file, fillWords('inner'), { cwd: under, input: tar, encoding: 'latin1' });
  expect(stdout).toBe(spawnSync(file, digestWords('inner'), { cwd: under, encoding: 'latin1' }).stdout);
  expect(stdout).not.toBe(known);
});

test.runIf(runs)('a tar that is cut off anywhere makes no layer', () => {
  const tar = tarOf(
    plant('whole', 'mkdir a; echo 1 >a/b; head -c 600000 /dev/urandom >c; echo 2 >d'),
    ...posix,
    '--sort=name',
  );
  const end = tar.lastIndexOf('2\n') + 2;
  const cuts = [0, 1, 511, 512, 513, 1024, 2048, 300_000, end - 1, Math.ceil(end / 512) * 512];
  for (const cut of cuts) {
    const { status, said, stderr } = fill(`cut-${cut}`, tar.subarray(0, cut));
    expect({ cut, status, said }).toEqual({ cut, status: 1, said: '' });
    expect(stderr).toContain('ends too early');
  }
});

test.runIf(runs)('what cannot be made fails, whichever process makes it', async () => {
  const named = (name: string) => ({ name, mode: 0o644, uid: 0, gid: 0 });
  const refused: readonly (readonly [string, readonly (readonly [Named, string?])[]])[] = [
    [
      'cannot make',
      [
        [named('./twice'), '1'],
        [named('./twice'), '2'],
      ],
    ],
    ['cannot enter', [[named('./nowhere/file'), '1']]],
    ['leads out of the layer', [[named('./../../outside'), '1']]],
    ['leads out of the layer', [[{ ...named('./..'), type: 'directory' }]]],
    [
      'cannot enter',
      [[{ ...named('./out'), type: 'symlink', linkname: directory }], [{ ...named('./out/in/'), type: 'directory' }]],
    ],
    ['is of a kind', [[{ ...named('./pipe'), type: 'fifo' }]]],
  ];
  for (const [at, [why, entries]] of refused.entries()) {
    const tar = pack();
    for (const [header, text = ''] of entries) tar.entry(header, text);
    tar.finalize();
    const { status, said, stderr } = fill(`refused-${at}`, await whole(tar as unknown as AsyncIterable<Uint8Array>));
    expect({ at, status, said }).toEqual({ at, status: 1, said: '' });
    expect(stderr).toContain(why);
  }
  const far = fill('far', tarOf(plant('of-far', 'echo 1 >a; chown 3000000 a'), '--format=gnu'));
  expect(far).toMatchObject({ status: 1, said: '', stderr: expect.stringContaining('of another form') as string });
  expect(existsSync(join(directory, 'outside'))).toBe(false);
  expect(existsSync(join(directory, 'in'))).toBe(false);
});

test.runIf(runs)('one that is killed leaves no process that goes on', async () => {
  const child = spawn(file, fillWords('killed'), { cwd: directory, stdio: ['pipe', 'pipe', 'inherit'] });
  const tar = tarOf(plant('many', 'for n in $(seq 2000); do echo $n >$n; done'), ...posix, '--sort=name');
  // What is still to be written when it is killed has no reader.
  child.stdin.on('error', () => undefined);
  child.stdin.write(tar.subarray(0, tar.length - 20_000));
  await until(() => existsSync(join(directory, 'killed/d/1')));
  child.kill('SIGKILL');
  const ended = once(child.stdout, 'close');
  child.stdout.resume();
  // All that have its output open have ended.
  await ended;
  expect(fill('again', tar)).toMatchObject({ status: 0, said: expect.stringMatching(/^[0-9a-f]{64}\n$/) as string });
  expect(shown(join(directory, 'again/d'))).toEqual(shown(join(directory, 'many')));
});
