import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Checkpoint, OpencodeToolsError } from '@opencode-tools/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runLine } from '../../test/run-line.ts';

const checkpoint = { id: 'chk_0000000000000000000000000a', name: 'travels' } as unknown as Checkpoint;
let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'oct-cli-'));
});
afterEach(() => rmSync(cwd, { recursive: true }));

async function* bytes() {
  yield Buffer.from('one ');
  yield Buffer.from('two');
}
const exporting = (stream: AsyncIterable<Uint8Array> = bytes()) => ({
  checkpoints: {
    export: async () => ({ checkpoint, stream, root: 'left-out' as const, notices: ['a pipe is not in the file'] }),
  },
});

test('checkpoints export writes a whole file or none, and replaces none', async () => {
  const line = await runLine(['checkpoints', 'export', 't', 'travels', 'out.tar'], exporting(), { cwd });
  expect(line).toMatchObject({ code: 0, stderr: '' });
  expect(line.stdout).toContain('root file system is not in the file');
  expect(line.stdout).toContain('a pipe is not in the file');
  expect(readFileSync(join(cwd, 'out.tar'), 'utf8')).toBe('one two');
  const again = await runLine(['checkpoints', 'export', 't', 'travels', 'out.tar'], exporting(), { cwd });
  expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining('exists') });
  async function* broken() {
    yield Buffer.from('half');
    throw new OpencodeToolsError('OCT_CHECKPOINT_CORRUPT', 'It is damaged');
  }
  expect((await runLine(['checkpoints', 'export', 't', 'c', 'bad.tar'], exporting(broken()), { cwd })).code).toBe(8);
  expect((await runLine(['checkpoints', 'export', 't', 'c', 'no/such.tar'], exporting(), { cwd })).code).toBe(2);
  expect(readdirSync(cwd)).toEqual(['out.tar']);
});

test('checkpoints export to a full disk says so and leaves no part of a file', () => {
  const child = fileURLToPath(new URL('../../test/full-disk-child.ts', import.meta.url));
  const mount = 'mount -t tmpfs -o size=3000k tmpfs "$1" && exec "$2" --conditions=@opencode-tools/source "$3" "$1"';
  const argv = ['--user', '--map-root-user', '--mount', 'sh', '-c', mount, 'sh', cwd, process.execPath, child];
  const { stdout, stderr } = spawnSync('unshare', argv, { encoding: 'utf8' });
  expect(stderr).toBe('');
  const { ends, ...left } = JSON.parse(stdout) as { ends: readonly { code: number; stderr: string }[] };
  expect(left).toEqual({ names: ['filler', 'old.tar'], old: 'an older export' });
  for (const end of ends) {
    expect(end).toMatchObject({ code: 7, stderr: expect.stringContaining('no room left') as string });
    expect(end.stderr).toContain('Make room on the disk');
  }
});

test('what an export that was killed has left goes with the next one into that directory, and nothing else does', async () => {
  const child = fileURLToPath(new URL('../../test/export-child.ts', import.meta.url));
  const start = async () => {
    const argv = ['--conditions=@opencode-tools/source', child, cwd];
    const exporter = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(exporter.stdout, 'data');
    const kill = async () => {
      const over = once(exporter, 'exit');
      exporter.kill('SIGKILL');
      await over;
    };
    return { kill };
  };
  const killed = await start();
  await killed.kill();
  const [left = ''] = readdirSync(cwd);
  expect(left).not.toBe('out.tar');
  const alive = await start();
  try {
    const written = readdirSync(cwd).filter((name) => name !== left);
    expect(written).toHaveLength(1);
    const others = ['out.tar.0123456789ab.part', '.opencode-tools-export-notes', left.replace(/.$/, '')];
    const elsewhere = left.replace(/export-[0-9a-f]{8}/, 'export-00000000');
    expect(elsewhere).not.toBe(left);
    const directory = left.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'));
    for (const name of [...others, elsewhere]) writeFileSync(join(cwd, name), 'of the user');
    mkdirSync(join(cwd, directory));
    const line = await runLine(['checkpoints', 'export', 't', 'travels', 'mine.tar'], exporting(), { cwd });
    expect(line).toMatchObject({ code: 0, stderr: '' });
    expect(readdirSync(cwd)).not.toContain(left);
    expect(readdirSync(cwd)).toEqual(['mine.tar', ...written, ...others, elsewhere, directory].toSorted());
  } finally {
    await alive.kill();
  }
});

test('checkpoints import reads a file, or standard input', async () => {
  const seen: unknown[] = [];
  const take = async (_: unknown, stream: AsyncIterable<Uint8Array>, options: object) => {
    const parts: Uint8Array[] = [];
    for await (const part of stream) parts.push(part);
    seen.push([Buffer.concat(parts).toString(), options]);
    return { checkpoint, rootLeftOut: true };
  };
  const answers = { checkpoints: { import: take } };
  writeFileSync(join(cwd, 'in.tar'), 'from a file');
  const line = await runLine(['checkpoints', 'import', 't', 'in.tar', '--name', 'here'], answers, { cwd });
  expect(line.stdout).toContain('--with-root takes it in');
  await runLine(['checkpoints', 'import', 't', '-', '--with-root'], answers, { cwd, input: 'from stdin' });
  expect(seen).toEqual([
    ['from a file', { name: 'here', root: false }],
    ['from stdin', { root: true }],
  ]);
  const missing = await runLine(['checkpoints', 'import', 't', 'none.tar'], answers, { cwd });
  expect(missing).toMatchObject({ code: 2, stderr: expect.stringContaining('checkpoints export') });
});
