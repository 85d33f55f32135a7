import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { addTask } from '@opencode-tools/testkit';
import { expect, test } from 'vitest';
import { openSqliteStore } from '../src/sqlite.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';

const child = fileURLToPath(new URL('read-only-child.ts', import.meta.url));
const mount =
  'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" --conditions=@opencode-tools/source "$3" "$1"';

test.each([true, false])('a home on a disk that is read only says how its registry is (closed: %j)', async (closed) => {
  const temporary = temporaryDirectory();
  const directory = join(temporary.path, 'home');
  const store = await openSqliteStore({ directory });
  await addTask(store.tasks);
  if (closed) await store.close();
  // The mount is in a namespace that ends with the process.
  const argv = ['--user', '--map-root-user', '--mount', 'sh', '-c', mount, 'sh', directory, process.execPath, child];
  const { stdout, stderr, status } = spawnSync('unshare', argv, { encoding: 'utf8' });
  if (!closed) await store.close();
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  expect(JSON.parse(stdout)).toEqual({ tasks: 1, fault: null, ok: true, backup: 'OCT_STORE_READ_ONLY' });
  temporary.remove();
});
