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
(mkdir deep; cd deep; for n in $(seq 60); do mkdir $n; echo $n >$n/x; cd $n; done; for n in $(seq 700); do head -c $n /dev/urandom >$n; done)`;

test.runIf(runs).each([
  ['of a walk', 'rm z a/b/link s2', [...posix, '--sort=name']],
  ['of a walk, with files of several names', '', [...posix, '--sort=name']],
  ['of a walk, long names told as GNU tar does', 'rm z a/b/link s2', ['--format=gnu', '--sort=name']],
  ['of the directory', 'rm z a/b/link s2', posix],
])('a layer is what a tar in the order %s says, and its digest that of what lies there', (order, change, options) => {
  const planted = `tree-${order.length}`;
  const from = plant(planted, `${tree}\n${change}`);
  // Times of this form are whole seconds, and large numbers of users have a form of their own, which is not read.
  const plain = 'chown 7:8 a/more; find . -depth -exec touch -hd @1000000000 {} +';
  if (options[0] === '--format=gnu') execFileSync('bash', ['-c', plain], { cwd: from });
  const layer = `of-${planted}`;
  const { status, said, stderr } = fill(layer, tarOf(from, ...options));
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(shown(join(directory, layer, 'd'))).toEqual(shown(from));
  expect(said).toBe(digestOf(layer));
});

test.runIf(runs)('a layer may have any number of files that no slot has room for, one after the other', () => {
  const script = 'for n in $(seq 150); do head -c $((262144 + n * 777)) /dev/urandom >$n; done; echo last >z';
  const from = plant('many-large', script);
  const { status, said, stderr } = fill('of-many-large', tarOf(from, ...posix, '--sort=name'));
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(shown(join(directory, 'of-many-large', 'd'))).toEqual(shown(from));
  expect(said).toBe(digestOf('of-many-large'));
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

/** An entry of a tar with extended attributes, bytes as Latin-1. */
function entryWith(name: string, attributes: Readonly<Record<string, string>>, mode: number, content?: string): Buffer {
  const records = Object.entries(attributes).map(([key, value]) => {
    const rest = ` SCHILY.xattr.${key.replaceAll(/[%=]/g, (byte) => (byte === '%' ? '%25' : '%3D'))}=${value}\n`;
    const length = rest.length + 2 > 99 ? rest.length + 3 : rest.length + 2;
    return `${length}${rest}`;
  });
  const type = content === undefined ? '5' : '0';
  return Buffer.concat([blockOf('x', 'x', 0o644, records.join('')), blockOf(name, type, mode, content ?? '')]);
}

function blockOf(name: string, type: string, mode: number, content: string): Buffer {
  const block = Buffer.alloc(512 + Math.ceil(content.length / 512) * 512);
  block.write(name);
  block.write(mode.toString(8).padStart(7, '0'), 100);
  block.write(content.length.toString(8).padStart(11, '0'), 124);
  block.write(type, 156);
  block.write(content, 512, 'latin1');
  return block;
}

const word = (value: number): string => Buffer.from(Uint32Array.of(value).buffer).toString('latin1');
const listed = (tag: number, permission: number, id = 0xff_ff_ff_ff): string =>
  word(tag | (permission << 16)) + word(id);
/** A default access control list that lets one more user read, as the kernel has it. */
const inherited = word(2) + listed(1, 7) + listed(2, 4, 1234) + listed(4, 5) + listed(16, 5) + listed(32, 5);
const end = Buffer.alloc(1024);

test.runIf(runs)('extended attributes are those of the tar', () => {
  const attributes = { 'user.of=%': '1\n\0=\u00ff', 'system.posix_acl_default': inherited };
  const tar = Buffer.concat([
    entryWith('./', {}, 0o755),
    entryWith('./a/', attributes, 0o755),
    entryWith('./a/b', { 'user.second': '2', 'user.first': '' }, 0o4755, 'content'),
    end,
  ]);
  const { status, said, stderr } = fill('extended', tar);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const read = tarOf(join(directory, 'extended/d'), '--xattrs', '--xattrs-include=*', ...posix, '--sort=name');
  const records = [
    'SCHILY.xattr.user.of%3D%25=1\n\0=\u00ff\n',
    `SCHILY.xattr.system.posix_acl_default=${inherited}\n`,
    'SCHILY.xattr.user.second=2\n',
    'SCHILY.xattr.user.first=\n',
  ];
  for (const record of records) expect(read.toString('latin1')).toContain(record);
  expect(said).toBe(digestOf('extended'));
  expect(fill('again-extended', read).said).toBe(said);
});

test.runIf(runs)('what a new name has from above is part of the digest', () => {
  const tar = tarOf(plant('plain', 'mkdir a; echo 1 >a/b'), ...posix, '--sort=name');
  const known = fill('of-plain', tar).said;
  const above = [entryWith('./', {}, 0o755), entryWith('./under/', { 'system.posix_acl_default': inherited }, 0o755)];
  expect(fill('above', Buffer.concat([...above, end])).status).toBe(0);
  const under = { cwd: join(directory, 'above/d/under'), encoding: 'latin1' } as const;
  const { stdout } = spawnSync(file, fillWords('inner'), { ...under, input: tar });
  // The directory of the layer has it too, which is said.
  expect(stdout).toMatch(/^[0-9a-f]{64} [0-9a-f]{16}\n$/);
  expect(`${stdout.slice(0, 64)}\n`).toBe(spawnSync(file, digestWords('inner'), under).stdout);
  expect(stdout.slice(0, 64)).not.toBe(known.trim());
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
