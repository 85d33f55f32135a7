import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { longestPathBytes } from '@opencode-tools/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isRoot, layerProgram, oddTree } from '../../test/layer-program.ts';
import {
  addRequest,
  digestWords,
  finishRequest,
  listRequest,
  scriptRequest,
  sealWords,
  unpackRequest,
} from './layer-requests.ts';
import { readScript } from './layer-scripts.ts';
import { sizeOf } from './layer-size.ts';
import { parseChange, parseListing } from './upper-listing.ts';

const program = layerProgram();
const alone = { layers: [] };
const tarOptions =
  '--sort=name --numeric-owner --format=posix --xattrs --pax-option=exthdr.name=x,delete=atime,delete=ctime';

let directory: string;
let file: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'oct-layers-'));
  chmodSync(directory, 0o755);
  file = join(directory, 'layer');
  writeFileSync(file, program ?? '', { mode: 0o755 });
});
afterAll(() => {
  execFileSync('chmod', ['-R', 'u+rwX', directory]);
  rmSync(directory, { recursive: true, force: true });
});

/** What the program gives for requests, as a helper gets it. */
function serve(...requests: readonly Buffer[]): {
  readonly answers: readonly string[];
  readonly codes: readonly number[];
} {
  const input = Buffer.concat(requests.flatMap((request) => [Buffer.from(`nonce ${request.length}\n`), request]));
  const { stdout } = spawnSync(file, { cwd: directory, input, maxBuffer: 2 ** 26 });
  const parts = stdout.toString('latin1').split(/\nnonce (\d+)\n/);
  return { answers: parts.filter((_, at) => at % 2 === 0), codes: parts.filter((_, at) => at % 2 === 1).map(Number) };
}

function plant(name: string, script: string): void {
  mkdirSync(join(directory, name, 'd'), { recursive: true });
  execFileSync('bash', ['-c', `set -eu; umask 022; ${script}`], {
    cwd: join(directory, name, 'd'),
    env: { ...process.env, LC_ALL: 'C' },
  });
}

function run(words: readonly string[], options: { readonly uid?: number } = {}) {
  return spawnSync(file, words, { cwd: directory, encoding: 'latin1', ...options });
}

test.runIf(program)('the digest is that of what GNU tar writes of a layer', () => {
  plant('odd', oddTree);
  const tar = `tar -c ${tarOptions} --xattrs-include='*' . | sha256sum`;
  const expected = execFileSync('bash', ['-c', tar], {
    cwd: join(directory, 'odd/d'),
    env: { ...process.env, LC_ALL: 'C' },
    encoding: 'latin1',
  });
  expect(run(digestWords('odd')).stdout.trim()).toBe(expected.slice(0, 64));
});

test.runIf(program)('there is no digest of a layer that cannot be read to its end', () => {
  plant('unread', 'mkdir a; echo 1 >a/first; echo 2 >secret; echo 3 >z; chmod 0 secret');
  // Root reads everything.
  const uid = isRoot ? 65_534 : process.getuid?.();
  const { status, stdout, stderr } = run(digestWords('unread'), uid === undefined ? {} : { uid });
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toContain('cannot open: secret');
  const sealed = run(sealWords('unread'), uid === undefined ? {} : { uid });
  expect(sealed).toMatchObject({ status: 1, stdout: '' });
});

test.runIf(program)('a layer without content has the digest of its top directory alone', () => {
  plant('none', 'chmod 700 .');
  const { uid, gid } = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const sum = hash('sha256', `empty 700 ${uid} ${gid}\n`);
  expect(sizeOf(Buffer.from(run(sealWords('none')).stdout))).toEqual({
    size: { entries: 1, bytes: 0 },
    holds: { entries: 1, bytes: 0 },
    root: { mode: 0o700, uid, gid },
    digest: sum,
    packed: false,
  });
});

test.runIf(program)('what is added to a layer is as it was, holes and names of one file included', () => {
  plant('from', oddTree);
  mkdirSync(join(directory, 'from/w'));
  const listed = serve(listRequest('from', null));
  expect(listed.codes).toEqual([0]);
  const [indexed = '', what = ''] = (listed.answers[0] ?? '').split('\0', 2);
  expect([indexed, what]).toEqual(['0', 'all']);
  const entries = parseListing(Buffer.from((listed.answers[0] ?? '').slice('0\0all\0'.length), 'latin1'));
  const paths = entries.map(({ path }) => path).filter((path) => path !== '');
  const { answers, codes } = serve(addRequest('from', 'into', alone, { copy: paths, attributes: [''], gone: [] }));
  expect(codes).toEqual([0]);
  const { digest, size } = sizeOf(Buffer.from(answers[0] ?? '', 'latin1'));
  expect(digest).toBe(run(digestWords('from')).stdout.trim());
  expect(size.entries).toBe(entries.length);
  const blocks = execFileSync('stat', ['-c', '%b', 'from/d/sparse', 'into/d/sparse'], {
    cwd: directory,
    encoding: 'latin1',
  });
  const [before, after] = blocks.trim().split('\n');
  expect(after).toBe(before);
  expect(existsSync(join(directory, 'into/listing'))).toBe(true);
});

/** Adds all of an upper to a layer. */
function addAll(upper: string, layer: string, how: 'add' | 'pack') {
  const listed = serve(listRequest(upper, null)).answers[0] ?? '';
  const entries = parseListing(Buffer.from(listed.slice('0\0all\0'.length), 'latin1'));
  const copy = entries.map(({ path }) => path).filter((path) => path !== '');
  const { answers, codes } = serve(addRequest(upper, layer, alone, { copy, attributes: [''], gone: ['away'] }, how));
  expect(codes).toEqual([0]);
  return sizeOf(Buffer.from(answers[0] ?? '', 'latin1'));
}

/** Perl is part of every Debian. Some file systems keep no attributes of users. */
const setAttribute = (name: string, key: string): string =>
  `perl -e '$v = "v"; exit(syscall(${process.arch === 'arm64' ? 5 : 188}, @ARGV, $v, 1, 0) < 0)' ${name} ${key}`;
const plainTree = oddTree.replace('truncate -s 3M sparse; echo x >>sparse', ':');

test.runIf(program && isRoot)('a packed layer is what its names would be, and becomes them', () => {
  plant(
    'whole',
    `${plainTree}\n${setAttribute('many/1', 'user.a%=b')} && ${setAttribute('many/1', 'user.c')} && ${setAttribute('many', 'user.b')} && ${setAttribute('many', 'user.a')} || :`,
  );
  mkdirSync(join(directory, 'whole/w'));
  const packed = addAll('whole', 'file', 'pack');
  expect(packed.packed).toBe(true);
  expect(readdirSync(join(directory, 'file')).toSorted()).toEqual(['listing', 'tar']);
  expect(packed).toEqual({ ...addAll('whole', 'names', 'add'), packed: true });
  expect(run(digestWords('file')).stdout.trim()).toBe(packed.digest);
  expect(hash('sha256', readFileSync(join(directory, 'file/tar')))).toBe(packed.digest);
  const read = readScript('file').replaceAll('/layers/', './');
  expect(hash('sha256', spawnSync('sh', ['-c', read], { cwd: directory, maxBuffer: 2 ** 26 }).stdout)).toBe(
    packed.digest,
  );
  // What one who was killed left.
  mkdirSync(join(directory, 'file/new/many/1/deep'), { recursive: true });
  const unpacked = serve(unpackRequest('file'), unpackRequest('file'), unpackRequest('none-at-all'));
  expect(unpacked.codes).toEqual([0, 0, 0]);
  expect(readdirSync(join(directory, 'file')).toSorted()).toEqual(['d', 'listing']);
  expect(run(digestWords('file')).stdout.trim()).toBe(packed.digest);
  const described = (layer: string): string =>
    execFileSync('find', ['d', '-printf', '%y %m %U %G %n %T@ %p %l\\n'], {
      cwd: join(directory, layer),
      encoding: 'latin1',
    });
  const inOrder = (text: string): string => text.split('\n').toSorted().join('\n');
  expect(inOrder(described('file'))).toBe(inOrder(described('names')));
  expect(spawnSync('sh', ['-c', read], { cwd: directory, maxBuffer: 2 ** 26 })).toMatchObject({ status: 0 });
});

test.runIf(program && isRoot)('what a file cannot hold is not packed', () => {
  const cases = {
    holes: 'echo 1 >a; truncate -s 1M b',
    secured: `echo 1 >a; ${setAttribute('a', 'security.a')} || truncate -s 1M b`,
    large: 'head -c 67108865 /dev/zero >a',
  };
  for (const [name, script] of Object.entries(cases)) {
    plant(name, script);
    mkdirSync(join(directory, name, 'w'));
    const added = addAll(name, `${name}-added`, 'pack');
    expect(added).toMatchObject({ packed: false });
    expect(readdirSync(join(directory, `${name}-added`)).toSorted()).toEqual(['d', 'listing']);
    expect(added).toEqual(addAll(name, `${name}-again`, 'add'));
  }
});

test.runIf(program && isRoot)('a packed layer that was damaged is not unpacked as another', () => {
  plant('sound', 'mkdir a; echo 1 >a/b; echo 1 >c');
  mkdirSync(join(directory, 'sound/w'));
  addAll('sound', 'damaged', 'pack');
  const tar = join(directory, 'damaged/tar');
  const sound = readFileSync(tar);
  for (const at of [0, 124, 156, 512, 700, 1100]) {
    const bytes = Buffer.from(sound);
    bytes[at] = (bytes[at] ?? 0) ^ 0x55;
    writeFileSync(tar, bytes);
    const before = run(digestWords('damaged')).stdout;
    const { status } = run(['unpack', 'damaged']);
    expect([0, 1]).toContain(status);
    expect(run(digestWords('damaged')).stdout).toBe(before);
    rmSync(join(directory, 'damaged/d'), { recursive: true, force: true });
    writeFileSync(tar, sound);
  }
  writeFileSync(tar, sound.subarray(0, sound.length / 2));
  expect(run(['unpack', 'damaged'])).toMatchObject({ status: 1 });
  expect(existsSync(join(directory, 'damaged/d'))).toBe(false);
});

test.runIf(program && isRoot)('who is killed while it unpacks leaves the layer whole', async () => {
  plant('much', 'for n in $(seq 400); do mkdir $n; echo $n >$n/file; done');
  mkdirSync(join(directory, 'much/w'));
  for (let round = 0; round < 12; round += 1) {
    const layer = `killed${round}`;
    const { digest } = addAll('much', layer, 'pack');
    const processes = [1, 2].map(() => spawn(file, ['unpack', layer], { cwd: directory, stdio: 'ignore' }));
    const ends = processes.map(async (one) => once(one, 'exit'));
    await setTimeout(round * 3);
    for (const one of processes) one.kill('SIGKILL');
    await Promise.all(ends);
    const names = readdirSync(join(directory, layer));
    expect(names.includes('tar') || names.includes('d')).toBe(true);
    expect(run(digestWords(layer)).stdout.trim()).toBe(digest);
    expect(run(['unpack', layer])).toMatchObject({ status: 0 });
    expect(readdirSync(join(directory, layer)).toSorted()).toEqual(['d', 'listing']);
    expect(run(digestWords(layer)).stdout.trim()).toBe(digest);
  }
});

test.runIf(program)('a listing says what differs from an earlier one', () => {
  plant('live', 'mkdir d; echo 1 >d/a; echo 1 >d/b; echo 1 >c');
  mkdirSync(join(directory, 'live/w/index'), { recursive: true });
  mkdirSync(join(directory, 'first'));
  expect(serve(listRequest('live', 'first'), scriptRequest('cp -a live/d first/d')).codes).toEqual([0, 0]);
  expect(serve(finishRequest('live', 'first', alone)).codes).toEqual([0]);
  expect(serve(listRequest('live', 'first')).answers[0]).toBe('0\0change\0');
  plant('live', 'rm d/b; echo 2 >>c; mkdir e');
  writeFileSync(join(directory, 'live/w/index/00fb'), 'x');
  const answer = serve(listRequest('live', 'first')).answers[0] ?? '';
  expect(answer.startsWith('1\0change\0')).toBe(true);
  const { change, marks } = parseChange(Buffer.from(answer.slice('1\0change\0'.length), 'latin1'));
  expect(change.before.map(({ path }) => path).toSorted()).toEqual(['', 'c', 'd', 'd/b']);
  expect(change.after.map(({ part, path }) => `${part} ${path}`).toSorted()).toEqual([
    'd ',
    'd c',
    'd d',
    'd e',
    'i 00fb',
  ]);
  expect([...marks.keys()].toSorted()).toEqual(['', 'd', 'e']);
});

test.runIf(program)('a request that fails says so and the next one is served', () => {
  const { answers, codes } = serve(listRequest('absent', null), scriptRequest('exit 7'), scriptRequest('echo here'));
  expect(codes).toEqual([1, 7, 0]);
  expect(answers[2]).toContain('here');
});

test.runIf(program)('a tree is listed and copied but for what lies too deep, whatever the number of open files', () => {
  plant('deep', 'd=$(printf "x/%.0s" {1..1500}); mkdir -p kept "$d"; : >"$d/file"; ln kept/../"$d/file" kept/link');
  const y = 'y'.repeat(250);
  plant('deep', `for n in {1..20}; do mkdir ${y}; cd ${y}; : >file; done`);
  mkdirSync(join(directory, 'deep/w'));
  const limited = (words: readonly string[]) =>
    spawnSync('sh', ['-c', 'ulimit -Sn 64; exec "$@"', 'sh', file, ...words], {
      cwd: directory,
      encoding: 'latin1',
      maxBuffer: 2 ** 26,
    });
  const { stdout, status } = limited(['list', 'deep', '']);
  expect(status).toBe(0);
  const head = stdout.slice(0, stdout.indexOf('\0'));
  expect(head).toBe(`0 1 ${`${y}/`.repeat(2).slice(0, 255)}`);
  const paths = parseListing(Buffer.from(stdout.slice(head.length + '\0all\0'.length), 'latin1')).map(
    ({ path }) => path,
  );
  expect(Math.max(...paths.map((path) => path.length))).toBeLessThanOrEqual(longestPathBytes);
  expect(limited(['copy', 'deep/d', 'copied'])).toMatchObject({ status: 0, stderr: '' });
  const seen = execFileSync('find', ['-mindepth', '1', '-printf', '%P\\n'], {
    cwd: join(directory, 'copied/d'),
    encoding: 'latin1',
    maxBuffer: 2 ** 26,
  });
  expect(seen.trim().split('\n').toSorted()).toEqual(paths.filter((path) => path !== '').toSorted());
});
