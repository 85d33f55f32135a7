import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LayerBed, openLayerBed, owner } from './support/layer-bed.ts';

/** Sets an extended attribute to bytes in hex, and reads one, by system calls: no program of the image does. */
const set = `perl -e 'my $v = pack("H*", $ARGV[2]); exit 1 if 0 > syscall((\`uname -m\` =~ /aarch64/ ? 5 : 188), $ARGV[0], $ARGV[1], $v, length($v), 0)'`;
const get = `perl -e 'my $v = "\\0" x 999; my $n = syscall((\`uname -m\` =~ /aarch64/ ? 8 : 191), $ARGV[0], $ARGV[1], $v, 999); print $n < 0 ? "none" : unpack("H*", substr($v, 0, $n))'`;
const [acl, aclBytes] = ['system.posix_acl_default', '0200000001000700ffffffff04000500ffffffff20000500ffffffff'];

let bed: LayerBed;
beforeAll(async () => {
  bed = await openLayerBed();
}, 300_000);
afterAll(async () => bed.remove());

const provisioned = async (snapshotId: string | null): Promise<string> => {
  const volume = bed.newVolume();
  await bed.store.provision({ volume, labels: bed.labels, owner, snapshotId });
  return volume;
};
const freeze = async (volume: string): Promise<string> => (await bed.store.freeze({ kind: 'volume', volume })).id;
const attribute = async (volume: string, key: string): Promise<string> => bed.run(volume, `${get} . ${key}`);

test('extended attributes of the top directory are in checkpoints, forks, flattened layers and content', async () => {
  const volume = await provisioned(null);
  const none = await freeze(volume);
  await bed.run(volume, `${set} . user.a 6f6e65`);
  const first = await freeze(volume);
  expect(first).not.toBe(none);
  expect(await freeze(volume)).toBe(first);
  await bed.run(volume, `${set} . ${acl} ${aclBytes}; echo 1 >file`);
  const second = await freeze(volume);
  await bed.run(volume, `${set} . user.a 74776f`);
  const third = await freeze(volume);
  expect(third).not.toBe(second);
  await bed.store.settle();

  const fork = await provisioned(third);
  expect(await attribute(fork, 'user.a')).toBe('74776f');
  expect(await attribute(fork, acl)).toBe(aclBytes);
  expect(await freeze(fork)).toBe(third);
  const back = await provisioned(first);
  expect(await attribute(back, 'user.a')).toBe('6f6e65');
  expect(await attribute(back, acl)).toBe('none');
  expect(await attribute(await provisioned(none), 'user.a')).toBe('none');
  expect(await bed.store.contentOf(third)).toBe((await bed.content.freeze({ kind: 'volume', volume })).id);

  // What is filled from content alone has them as well.
  const filled = await provisioned(await bed.store.contentOf(third));
  expect(await attribute(filled, 'user.a')).toBe('74776f');
  expect(await attribute(filled, acl)).toBe(aclBytes);
});
