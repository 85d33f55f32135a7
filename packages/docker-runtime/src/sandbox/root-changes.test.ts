import { expect, test } from 'vitest';
import { rootChanges } from './root-changes.ts';

test('lists what commands did, and not what the engine and this package did', () => {
  const changes = [
    { Path: '/run', Kind: 0 },
    { Path: '/run/oct', Kind: 1 },
    { Path: '/etc', Kind: 0 },
    { Path: '/etc/hosts', Kind: 0 },
    { Path: '/usr', Kind: 0 },
    { Path: '/usr/sbin', Kind: 0 },
    { Path: '/usr/sbin/docker-init', Kind: 1 },
    { Path: '/home', Kind: 0 },
    { Path: '/home/agent', Kind: 0 },
    { Path: '/home/agent/.cache', Kind: 1 },
    { Path: '/srv', Kind: 0 },
    { Path: '/srv/work', Kind: 1 },
    { Path: '/opt', Kind: 0 },
    { Path: '/opt/old', Kind: 2 },
    { Path: '/etcetera', Kind: 1 },
  ];
  expect(rootChanges(changes, ['/home/agent', '/srv/work'])).toEqual([
    { path: '/opt', change: 'modified' },
    { path: '/opt/old', change: 'deleted' },
    { path: '/etcetera', change: 'added' },
  ]);
});

test('keeps a directory that holds both', () => {
  const changes = [
    { Path: '/etc', Kind: 0 },
    { Path: '/etc/hosts', Kind: 0 },
    { Path: '/etc/profile', Kind: 0 },
  ];
  expect(rootChanges(changes, []).map(({ path }) => path)).toEqual(['/etc', '/etc/profile']);
});
