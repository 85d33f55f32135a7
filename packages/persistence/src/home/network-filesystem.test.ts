import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { mountTypeIn, networkFilesystem, refuseNetworkFilesystem } from './network-filesystem.ts';

test.each([
  [0x6969, null, 'nfs'],
  [0xff534d42, null, 'cifs'],
  [-11317950, null, 'cifs'],
  [0x65735546, 'fuse.sshfs', 'fuse.sshfs'],
  [0x65735546, 'fuse.gocryptfs', null],
  [0xef53, null, null],
  [0x01021994, null, null],
])('type %i with mount type %s is %s', (type, mountType, expected) => {
  expect(networkFilesystem(type, mountType)).toBe(expected);
});

test('the mount that leads to a directory is the one with the longest path', () => {
  const table = [
    '22 1 8:1 / / rw - ext4 /dev/sda1 rw',
    '40 22 0:40 / /mnt/far\\040away rw - fuse.sshfs host:/ rw',
    '41 22 0:41 / /mnt rw - tmpfs tmpfs rw',
  ].join('\n');
  expect(mountTypeIn(table, '/mnt/far away/home')).toBe('fuse.sshfs');
  expect(mountTypeIn(table, '/mnt/near')).toBe('tmpfs');
  expect(mountTypeIn(table, '/mntx')).toBe('ext4');
});

test('a local directory is accepted', () => {
  expect(() => refuseNetworkFilesystem(tmpdir())).not.toThrow();
});
