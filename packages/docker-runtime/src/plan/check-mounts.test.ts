import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { checkMounts } from './check-mounts.ts';

const policy = { home: '/home/person', engineSocket: '/opt/engine/docker.sock', mayMount: null };
const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'oct-mounts-')));
afterAll(() => rmSync(scratch, { recursive: true }));

const bind = (source: string, target = '/workspace') =>
  checkMounts([{ kind: 'bind', source, target, readOnly: false }], policy);

describe('a directory of the host', () => {
  test.each(['/', '/proc/1', '/etc/ssl', '/var/run', '/home', '/boot'])('is refused at %s', async (path) => {
    await expect(bind(path)).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
  });

  test('is refused where it is not on a list of what may be mounted, by its real path', async () => {
    for (const name of ['allowed/project', 'other', 'allowed/.ssh'])
      mkdirSync(join(scratch, name), { recursive: true });
    symlinkSync(join(scratch, 'other'), join(scratch, 'allowed/out'));
    symlinkSync(join(scratch, 'allowed'), join(scratch, 'list'));
    const known = { ...policy, mayMount: [join(scratch, 'list'), join(scratch, 'gone')] };
    const check = (name: string, mayMount = known.mayMount) =>
      checkMounts([{ kind: 'bind', source: join(scratch, name), target: '/workspace', readOnly: false }], {
        ...known,
        mayMount,
      });
    expect(await check('list/project')).toMatchObject([{ source: join(scratch, 'allowed/project') }]);
    const notListed = { code: 'OCT_POLICY_DENIED', details: { key: 'mounts.allow' } };
    for (const name of ['other', 'allowed/out']) await expect(check(name)).rejects.toMatchObject(notListed);
    await expect(check('allowed/project', [])).rejects.toMatchObject(notListed);
    await expect(check('allowed/.ssh', ['/'])).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
  });

  test('is refused where secrets or sockets are, also when the home is known by a link to it', async () => {
    for (const name of ['real/.ssh', 'real/work', 'run']) mkdirSync(join(scratch, name), { recursive: true });
    writeFileSync(join(scratch, 'run/engine'), '');
    symlinkSync(join(scratch, 'real'), join(scratch, 'person'));
    symlinkSync(join(scratch, 'run'), join(scratch, 'var'));
    const known = { home: join(scratch, 'person'), engineSocket: join(scratch, 'var/engine'), mayMount: null };
    const check = (name: string) =>
      checkMounts([{ kind: 'bind', source: join(scratch, name), target: '/workspace', readOnly: true }], known);
    for (const name of ['real/.ssh', 'person/.ssh', 'real', 'person', 'run', 'run/engine', 'var/engine']) {
      await expect(check(name)).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
    }
    expect(await check('person/work')).toMatchObject([{ source: join(scratch, 'real/work') }]);
  });

  test('is judged and mounted by its real path', async () => {
    symlinkSync('/etc', join(scratch, 'innocent'));
    await expect(bind(join(scratch, 'innocent'))).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
    symlinkSync(scratch, join(scratch, 'self'));
    expect(await bind(join(scratch, 'self'))).toEqual([
      { kind: 'bind', source: scratch, target: '/workspace', readOnly: false },
    ]);
  });

  test('is refused for writing where programs of the host run or obey what is in it, but for what keeps a part of another', async () => {
    for (const name of ['tree/.claude/module/.git', 'settings/app'])
      mkdirSync(join(scratch, name), { recursive: true });
    const steering = () => Promise.resolve({ steeringPaths: [join(scratch, 'settings/app')], programDirectories: [] });
    const check = (...names: readonly (readonly [name: string, readOnly: boolean])[]) =>
      checkMounts(
        names.map(([name, readOnly]) => {
          const place = join(scratch, name);
          return { kind: 'bind', source: place, target: place, readOnly };
        }),
        { ...policy, steering },
      );
    for (const name of ['tree/.claude', 'tree/.claude/module', 'settings', 'settings/app'])
      await expect(check([name, false])).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
    const kept = [['tree/.claude/module/.git', true] as const, ['tree/.claude', false] as const];
    expect(await check(['tree', false], ...kept)).toHaveLength(3);
    expect(await check(['settings', true])).toHaveLength(1);
  });

  test('has to exist, with an absolute path', async () => {
    await expect(bind(join(scratch, 'missing'))).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    await expect(bind('relative')).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    writeFileSync(join(scratch, 'file'), '');
    expect(await bind(join(scratch, 'file'))).toHaveLength(1);
  });

  test.each(['/', 'relative', '/a/../b', '/proc/x', '/run', '/run/oct', '/dev/shm', '/a\0b'])(
    'is never mounted at %s',
    async (target) => {
      await expect(bind(scratch, target)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    },
  );
});
