import { expect, test } from 'vitest';
import { assertSameMounts, parseMounts } from './read-back-mounts.ts';

const host = `22 1 0:2 / / rw - rootfs rootfs rw
23 22 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 23 8:2 /subvolume /home rw,relatime shared:2 - btrfs /dev/sdb rw
41 23 0:30 / /my\\040disk rw - tmpfs tmpfs rw`;
const inside = (device: string, root: string) => `100 90 0:50 / / rw - overlay overlay rw
101 100 8:9 /old /work rw - ext4 /dev/x rw
102 100 ${device} ${root} /work rw - ext4 /dev/x rw`;
const bind = (source: string) => [{ kind: 'bind', source, target: '/work', readOnly: false }] as const;

test.each([
  ['/srv/project', '8:1', '/srv/project'],
  ['/home/person/project', '8:2', '/subvolume/person/project'],
  ['/my disk/x', '0:30', '/x'],
  ['/my disk', '0:30', '/'],
])('a directory at %s is found again by device and place in its file system', (source, device, root) => {
  expect(() => assertSameMounts(bind(source), inside(device, root), host)).not.toThrow();
});

test.each([
  ['another directory', '8:1', '/etc'],
  ['another file system', '8:2', '/srv/project'],
])('%s in its place is refused', (_title, device, root) => {
  expect(() => assertSameMounts(bind('/srv/project'), inside(device, root), host)).toThrow(
    expect.objectContaining({ code: 'OCT_POLICY_DENIED' }),
  );
});

test('a directory that is not there is refused, and volumes are not looked at', () => {
  const mounts = [{ kind: 'volume', volume: 'v', target: '/data', readOnly: false }] as const;
  expect(() => assertSameMounts(mounts, '', host)).not.toThrow();
  expect(() => assertSameMounts(bind('/srv/project'), '', host)).toThrow(/is not/);
  expect(parseMounts('')).toEqual([]);
});
