import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { checkMounts, forbiddenPath } from './check-mounts.ts';

const policy = { home: '/home/person', engineSocket: '/opt/engine/docker.sock' };
const scratch = mkdtempSync(join(tmpdir(), 'oct-mounts-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const bind = (source: string, target = '/workspace') =>
  checkMounts([{ kind: 'bind', source, target, readOnly: false }], policy);

describe('a directory of the host', () => {
  test.each([
    '/',
    '/proc',
    '/proc/1/root',
    '/sys/fs',
    '/dev',
    '/etc/ssl',
    '/boot',
    '/run/user/1000',
    '/var',
    '/var/run',
    '/var/lib/docker/volumes',
    '/home',
    '/home/person',
    '/home/person/.ssh',
    '/home/person/.aws/cli',
    '/home/person/.config',
    '/opt/engine',
    '/opt',
  ])('is refused at %s', (path) => {
    expect(forbiddenPath(path, policy)).toBeDefined();
  });

  test.each([
    '/home/person/project',
    '/home/person/.config/editor',
    '/srv/work',
    '/var/www',
    '/opt/engines',
    '/tmp/x',
    '/development',
  ])('is fine at %s', (path) => {
    expect(forbiddenPath(path, policy)).toBeUndefined();
  });

  test('is judged and mounted by its real path', async () => {
    symlinkSync('/etc', join(scratch, 'innocent'));
    await expect(bind(join(scratch, 'innocent'))).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
    symlinkSync(scratch, join(scratch, 'self'));
    expect(await bind(join(scratch, 'self'))).toEqual([
      { kind: 'bind', source: scratch, target: '/workspace', readOnly: false },
    ]);
  });

  test('has to exist, with an absolute path', async () => {
    await expect(bind(join(scratch, 'missing'))).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    await expect(bind('relative')).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    writeFileSync(join(scratch, 'file'), '');
    expect(await bind(join(scratch, 'file'))).toHaveLength(1);
  });

  test.each(['/', 'relative', '/a/../b', '/proc/x', '/run', '/run/oct', '/dev/shm', '/a:b', '/a,b'])(
    'is never mounted at %s',
    async (target) => {
      await expect(bind(scratch, target)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    },
  );
});
