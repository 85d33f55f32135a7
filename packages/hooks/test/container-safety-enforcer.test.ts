import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type SandboxMount, type SandboxPlan, defaultLimits, silentLogger, systemClock } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import { type PlanRules, containerSafetyEnforcer, createHooks, inspectPlan } from '../src/index.ts';
import { context, plan, temporaryDirectory } from './fixtures.ts';

const bind = (source: string, more: Partial<SandboxMount> = {}): SandboxMount => ({
  kind: 'bind',
  source,
  target: '/workspace/project',
  readOnly: false,
  ...(more as object),
});

const rulesOf = (overrides: Partial<SandboxPlan>, rules?: PlanRules) =>
  inspectPlan(plan(overrides), rules).map(({ rule }) => rule);

async function enforce(overrides: Partial<SandboxPlan>, rules?: PlanRules) {
  const hooks = createHooks({ hooks: [containerSafetyEnforcer(rules)], clock: systemClock, logger: silentLogger });
  const [outcome] = await hooks.run(context({ point: 'sandbox:creating', plan: plan(overrides) }));
  return outcome;
}

test('an ordinary plan passes', async () => {
  expect(await enforce({})).toMatchObject({ result: 'passed', message: 'checked user, limits and 2 mounts' });
});

test.each([
  [0, 1000],
  [1000, 0],
  [-1, 1000],
  [1.5, 1000],
  [Number.NaN, 1000],
  [2 ** 32, 1000],
])('uid %d with gid %d is refused', (uid, gid) => {
  expect(rulesOf({ user: { uid, gid } })).toEqual(['no-root']);
});

test.each(['memoryBytes', 'cpus', 'pids', 'tmpBytes'] as const)('a plan without %s is refused', (name) => {
  for (const value of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(rulesOf({ limits: { ...defaultLimits, [name]: value } })).toEqual(['limits-required']);
  }
  expect(rulesOf({ limits: { ...defaultLimits, [name]: 0 } }, { requireLimits: false })).toEqual([]);
});

test.each([
  ['/', 'no-host-system'],
  ['/etc', 'no-host-system'],
  ['/etc/ssh/keys', 'no-host-system'],
  ['/proc/1/root', 'no-host-system'],
  ['/sys/fs/cgroup', 'no-host-system'],
  ['/dev/sda', 'no-host-system'],
  ['/var', 'no-host-system'],
  ['/var/lib', 'no-host-system'],
  ['/var/lib/docker/volumes/x', 'no-host-system'],
  ['/run/user/1000', 'no-host-system'],
  ['/run/docker.sock', 'no-engine-socket'],
  ['/var/run/docker.sock', 'no-engine-socket'],
  ['/srv/sockets/podman.sock', 'no-engine-socket'],
  ['/root', 'no-whole-home'],
  ['/home', 'no-whole-home'],
  ['/home/ada', 'no-whole-home'],
  ['/Users/ada', 'no-whole-home'],
  ['/home/ada/.ssh', 'no-credentials'],
  ['/home/ada/.aws/sso', 'no-credentials'],
  ['/home/ada/project/.git', 'git-read-only'],
  ['/home/ada/project/.git/hooks', 'git-read-only'],
  ['project', 'canonical-source'],
  ['./project', 'canonical-source'],
  ['/home/ada/../../etc', 'canonical-source'],
  ['/home/ada//project', 'canonical-source'],
  ['/home/ada/project/', 'canonical-source'],
  ['/home/ada/a\0b', 'canonical-source'],
])('a bind mount of %j breaks the rule %s', (source, rule) => {
  expect(rulesOf({ mounts: [bind(source)] })).toEqual([rule]);
});

test('parts of .git may be mounted read-only, and projects may be mounted', () => {
  expect(rulesOf({ mounts: [bind('/home/ada/project/.git/config', { readOnly: true })] })).toEqual([]);
  expect(rulesOf({ mounts: [bind('/home/ada/project')] })).toEqual([]);
  expect(rulesOf({ mounts: [bind('/etcetera/project')] })).toEqual([]);
});

test('paths that configuration protects are refused, with what holds them and what they hold', () => {
  const rules = { protectedPaths: ['/srv/opencode-tools/home'] };
  for (const source of ['/srv', '/srv/opencode-tools/home', '/srv/opencode-tools/home/tasks']) {
    expect(rulesOf({ mounts: [bind(source)] }, rules)).toEqual(['no-host-system']);
  }
  expect(rulesOf({ mounts: [bind('/srv/other')] }, rules)).toEqual([]);
});

test('a home that is known by a link to it is protected where it really is', async () => {
  const directory = await temporaryDirectory();
  await mkdir(join(directory, 'person/.config/gcloud'), { recursive: true });
  await mkdir(join(directory, 'person/work'));
  await symlink(join(directory, 'person'), join(directory, 'home'));
  const rules = { userHomes: [join(directory, 'home')] };
  for (const name of ['.config', '.config/gcloud', '']) {
    const mounts = [bind(join(directory, 'person', name))];
    expect(await enforce({ mounts }, rules)).toMatchObject({ result: 'rejected' });
  }
  expect(await enforce({ mounts: [bind(join(directory, 'person/work'))] }, rules)).toMatchObject({ result: 'passed' });
});

test.each([
  '/',
  '/run/oct',
  '/run/oct/fence',
  '/proc',
  '/sys/fs',
  '/etc',
  '/etc/passwd',
  '/dev/shm',
  '/usr/bin',
  '/tmp',
])('a mount over %s is refused', (target) => {
  expect(rulesOf({ mounts: [{ kind: 'volume', volume: 'v', target, readOnly: false }] })).toEqual(['reserved-target']);
});

test.each(['workspace', '/workspace/../etc', '/workspace/', '/work\0space'])('the target %j is refused', (target) => {
  expect(rulesOf({ mounts: [{ kind: 'volume', volume: 'v', target, readOnly: false }] })).toEqual(['canonical-target']);
});

test('two mounts on one target and a path as a volume name are refused', () => {
  const mount: SandboxMount = { kind: 'volume', volume: 'v', target: '/workspace', readOnly: false };
  expect(rulesOf({ mounts: [mount, mount, mount] })).toEqual(['one-mount-per-target']);
  expect(rulesOf({ mounts: [{ ...mount, volume: '/etc' }] })).toEqual(['volume-name']);
});

test('a veto names the first rule, the other rules and the legal way', async () => {
  const outcome = await enforce({ user: { uid: 0, gid: 0 }, limits: { ...defaultLimits, pids: 0 } });
  expect(outcome).toMatchObject({
    result: 'rejected',
    message:
      'Rule no-root: commands would run as uid 0, gid 0 (and limits-required). Remedy: Name a user and group other than 0.',
  });
});

test('a source that is a link, lies behind one or does not exist is refused', async () => {
  const directory = await temporaryDirectory();
  const project = join(directory, 'project');
  await mkdir(project);
  await symlink('/etc', join(directory, 'link'));
  expect(await enforce({ mounts: [bind(project)] })).toMatchObject({ result: 'passed' });
  for (const source of [join(directory, 'link'), join(directory, 'link', 'ssl'), join(directory, 'gone')]) {
    expect(await enforce({ mounts: [bind(source)] })).toMatchObject({
      result: 'rejected',
      message: expect.stringContaining('Rule real-source') as string,
    });
  }
});

test('a point without a plan is refused', async () => {
  const hooks = createHooks({ hooks: [containerSafetyEnforcer()], clock: systemClock, logger: silentLogger });
  expect(await hooks.run(context({ point: 'sandbox:creating' }))).toMatchObject([{ result: 'rejected' }]);
});
