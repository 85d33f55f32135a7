import { execFile } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ExecRequest, SandboxHandle } from '../index.ts';
import { kernelOver } from '../../test/kernel.ts';
import { taskWith } from '../../test/task.ts';
import { changedPaths, listTree } from './list-tree.ts';

const runFile = promisify(execFile);
const kernel = kernelOver({ ids: { next: () => 'exe_1' as never, random: () => '' } });

/** Runs commands on this machine as a sandbox would. */
function localHandle(change: (request: ExecRequest) => Promise<{ stdout: Buffer; code: number }>): SandboxHandle {
  return {
    exec: async (request: ExecRequest) => {
      const { stdout, code } = await change(request);
      for (let at = 0; at < stdout.length; at += 1_000) void request.onStdout(stdout.subarray(at, at + 1_000));
      return { reason: 'exited', exitCode: code, signal: null, durationMs: 1 };
    },
  } as Partial<SandboxHandle> as SandboxHandle;
}

const real = localHandle(async ({ command, cwd }) => {
  const [program = '', ...args] = command.kind === 'argv' ? command.argv : [];
  const { stdout } = await runFile(program, args, { cwd, encoding: 'buffer' });
  return { stdout, code: 0 };
});

describe('what changed in a workspace', () => {
  let directory = '';
  const at = (path: string): string => join(directory, path);
  const list = () => listTree(kernel, real, taskWith({ workspace: { mode: 'bind', path: directory } }), 7);
  const changesBy = async (work: () => void): Promise<readonly string[]> => {
    const before = await list();
    work();
    return changedPaths(before ?? new Map(), (await list()) ?? new Map());
  };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'oct-list-tree-'));
    for (const path of ['src', 'lib', '.git']) mkdirSync(at(path));
    for (const path of ['src/a', 'src/b', 'lib/c', '.git/index', 'new\nline']) writeFileSync(at(path), path);
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  test('nothing, when nothing was done', async () => {
    expect(await changesBy(() => undefined)).toEqual([]);
  });

  test('files added, changed, removed and renamed, and no directory above them', async () => {
    const changed = await changesBy(() => {
      writeFileSync(at('src/new'), '');
      writeFileSync(at('src/a'), 'other');
      rmSync(at('lib/c'));
      renameSync(at('src/b'), at('lib/b'));
      writeFileSync(at('new\nline'), 'x');
      symlinkSync('a', at('link'));
    });
    expect(changed).toEqual(['lib/b', 'lib/c', 'link', 'new\nline', 'src/a', 'src/b', 'src/new']);
  });

  test('a file whose content was changed under its old size and time', async () => {
    const changed = await changesBy(() => {
      writeFileSync(at('src/a'), 'rrc/a');
      utimesSync(at('src/a'), 1_000, 1_000);
    });
    expect(changed).toEqual(['src/a']);
  });

  test('modes of files and directories, and a second name of a file', async () => {
    const changed = await changesBy(() => {
      chmodSync(at('src/a'), 0o600);
      chmodSync(at('lib'), 0o700);
      linkSync(at('src/b'), at('src/b2'));
    });
    expect(changed).toEqual(['lib', 'src/a', 'src/b', 'src/b2']);
  });

  test('git’s own directory is left out', async () => {
    expect(await changesBy(() => writeFileSync(at('.git/index'), 'x'))).toEqual([]);
  });

  test('an image whose find cannot print gives no listing', async () => {
    const none = localHandle(async () => ({ stdout: Buffer.alloc(0), code: 1 }));
    expect(await listTree(kernel, none, taskWith(), 7)).toBeUndefined();
  });

  test('a listing past its limit is refused', async () => {
    const huge = localHandle(async () => ({ stdout: Buffer.alloc(65 * 1024 ** 2), code: 0 }));
    await expect(listTree(kernel, huge, taskWith(), 7)).rejects.toMatchObject({ code: 'OCT_RESOURCE_LIMIT' });
  });
});
