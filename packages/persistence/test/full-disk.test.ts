import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { makeRoom } from '../src/home/home-file.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';

const everyVerb = fileURLToPath(new URL('full-disk-child.ts', import.meta.url));
const exporting = fileURLToPath(new URL('full-export-child.ts', import.meta.url));
const outputs = fileURLToPath(new URL('full-output-child.ts', import.meta.url));
const mount = 'mount -t tmpfs -o "size=$5" tmpfs "$1" && exec "$2" --conditions=@opencode-tools/source "$3" "$1" "$4"';

interface Attempt {
  readonly verb: string;
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

/** The disk is one of its own, in a namespace that ends with the process. */
function onSmallDisk(directory: string, child: string, elsewhere = '', size = '3000k'): unknown {
  const argv = ['--user', '--map-root-user', '--mount', 'sh', '-c', mount, 'sh', directory, process.execPath];
  const { stdout, stderr, status } = spawnSync('unshare', [...argv, child, elsewhere, size], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

test('a full disk is named by every verb, and nothing is lost', () => {
  const temporary = temporaryDirectory();
  const disk = join(temporary.path, 'disk');
  mkdirSync(disk, { recursive: true });
  const { attempts, left } = onSmallDisk(disk, everyVerb) as {
    readonly attempts: readonly Attempt[];
    readonly left: unknown;
  };
  for (const { verb, code, message, remedy } of attempts) {
    expect({ verb, code, remedy }).toEqual({
      verb,
      code: 'OCT_STORE_UNAVAILABLE',
      remedy: makeRoom,
    });
    expect(message).toMatch(/There is no room left/);
  }
  expect([...new Set(attempts.map(({ verb }) => verb))]).toEqual(['write', 'backup', 'rollback', 'restore', 'rebuild']);
  expect(left).toEqual({ ok: true, tasks: 2, backups: 1, temporary: [] });
  temporary.remove();
});

test('an output fills no disk so far that nothing can be recorded, and outputs can be removed on a full one', () => {
  const temporary = temporaryDirectory();
  const disk = join(temporary.path, 'disk');
  mkdirSync(disk, { recursive: true });
  const seen = onSmallDisk(disk, outputs, '', '40m') as Record<string, unknown>;
  expect(seen).toMatchObject({ kept: 'ENOSPC', recorded: 'done', filled: 'ENOSPC', recordedAfterwards: 'done' });
  expect(seen['freeBytes']).toBeGreaterThan(2 * 1024 ** 2);
  expect(seen['refused']).toMatchObject({ outputs: [] });
  expect(seen['pruned']).toMatchObject({ outputs: [{ executions: 1 }] });
  expect(seen['types']).toEqual(['execution.pruned']);
  temporary.remove();
});

test('an export to a full disk says so, and leaves the folder as it was', () => {
  const temporary = temporaryDirectory();
  const disk = join(temporary.path, 'disk');
  mkdirSync(disk, { recursive: true });
  const { id, ends } = onSmallDisk(disk, exporting, join(temporary.path, 'home')) as {
    readonly id: string;
    readonly ends: readonly Record<string, unknown>[];
  };
  for (const { repository, code, message, remedy, same, names } of ends) {
    const hasOne = code === 'done' || String(repository).endsWith('first');
    // An empty folder may stay: another export may be about to write there.
    expect(hasOne ? [['.task-memory', id]] : [[], ['.task-memory']]).toContainEqual(names);
    if (code === 'done') continue;
    expect({ code, same, remedy }).toEqual({
      code: 'OCT_RESOURCE_LIMIT',
      same: true,
      remedy: 'Make room on the disk, then try again.',
    });
    expect(message).toBe(`There is no room left in ${String(repository)}; what was there before is unchanged`);
  }
  expect(ends.filter(({ code }) => code !== 'done').length).toBeGreaterThan(10);
  expect(ends.filter(({ code }) => code === 'done')).toHaveLength(2);
  temporary.remove();
});
