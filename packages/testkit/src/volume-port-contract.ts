import { type VolumePort, createIds, systemClock } from '@opencode-tools/core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

export interface OpenVolumePort {
  readonly volumes: VolumePort;
  /** Labels that everything made by the suite carries. */
  readonly labels: Readonly<Record<string, string>>;
  /** A tar of every kind of entry: directories (one empty, one of mode 700), files, links of both kinds, long names. */
  readonly sampleTree: () => AsyncIterable<Uint8Array>;
  /** Describes a tree, one line per entry, sorted: path, kind, mode, owner, size, times, link target, content digest. */
  readonly describeTree: (tar: AsyncIterable<Uint8Array>) => Promise<readonly string[]>;
  /** Whether it has something to list trees with. */
  readonly lists: boolean;
  readonly close: () => Promise<void>;
}

const owner = { uid: 1000, gid: 1000 };

/** Says what every `VolumePort` does. Called at the top level of a test file. */
export function volumePortContract(name: string, open: () => Promise<OpenVolumePort>): void {
  describe(`${name} as a volume port`, () => {
    let opened: OpenVolumePort;
    const made: string[] = [];
    beforeAll(async () => {
      opened = await open();
    });
    afterEach(async () => {
      for (const volume of made.splice(0)) await opened.volumes.remove(volume);
    });
    afterAll(async () => opened.close());

    const newVolume = async (labels: Readonly<Record<string, string>> = {}): Promise<string> => {
      const volume = `oct-test-${createIds(systemClock).random().slice(0, 16)}`;
      made.push(volume);
      await opened.volumes.create({ name: volume, labels: { ...opened.labels, ...labels }, owner });
      return volume;
    };

    test('makes an empty volume that belongs to the user', async () => {
      const volume = await newVolume();
      const lines = await opened.describeTree(await opened.volumes.readTree(volume));
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatch(/^\. directory 755 1000:1000 /);
    });

    test('makes a volume once, and refuses a name that belongs to something else', async () => {
      const volume = await newVolume({ purpose: 'first' });
      await opened.volumes.create({ name: volume, labels: { ...opened.labels, purpose: 'first' }, owner });
      const other = { name: volume, labels: { ...opened.labels, purpose: 'other' }, owner };
      await expect(opened.volumes.create(other)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    });

    test('finds volumes by name and by labels', async () => {
      const volume = await newVolume({ purpose: 'sought' });
      const facts = await opened.volumes.find(volume);
      expect(facts).toMatchObject({ name: volume, labels: { ...opened.labels, purpose: 'sought' } });
      expect(await opened.volumes.list({ ...opened.labels, purpose: 'sought' })).toEqual([facts]);
      expect(await opened.volumes.list({ ...opened.labels, purpose: 'absent' })).toEqual([]);
      expect(await opened.volumes.find('no-such-volume')).toBeUndefined();
    });

    test('gives back the tree that was written, entry for entry', async () => {
      const volume = await newVolume();
      await opened.volumes.writeTree(volume, opened.sampleTree());
      const lines = await opened.describeTree(await opened.volumes.readTree(volume));
      expect(lines).toEqual(await opened.describeTree(opened.sampleTree()));
    });

    test('copies a tree from one volume to another', async () => {
      const [from, to] = [await newVolume(), await newVolume()];
      await opened.volumes.writeTree(from, opened.sampleTree());
      await opened.volumes.writeTree(to, await opened.volumes.readTree(from));
      const copied = await opened.describeTree(await opened.volumes.readTree(to));
      expect(copied).toEqual(await opened.describeTree(opened.sampleTree()));
    });

    test('lists what a tree has, and streams what is picked of it', async () => {
      const volume = await newVolume();
      await opened.volumes.writeTree(volume, opened.sampleTree());
      const listing = await opened.volumes.listTree(volume);
      if (!opened.lists) {
        expect(listing).toBeNull();
        return;
      }
      if (listing === null) throw new Error('There is nothing to list with');
      await using _ = listing;
      const whole = await opened.describeTree(opened.sampleTree());
      const { nodes } = listing;
      for (const { changedNs } of nodes) expect(changedNs).toBeLessThan(listing.startedNs);
      const node = (path: string) => nodes.find((one) => one.path === path);
      expect(node('')).toMatchObject({ type: 'directory', mode: 0o755, uid: 1000, gid: 1000, target: '' });
      expect(node('private/run')).toMatchObject({
        type: 'file',
        mode: 0o4751,
        uid: 1000,
        gid: 4321,
        size: 10,
        links: 1,
      });
      expect(node('out')).toMatchObject({ type: 'symlink', target: '../../etc/passwd' });
      expect(node('second-name')).toMatchObject({ identity: node('private/file')?.identity, links: 2 });
      const picked = ['private/run', 'nothing', nodes.find(({ path }) => path.endsWith('line'))?.path ?? ''];
      const starts = ['private/run ', 'nothing ', 'long-name/'];
      expect(await opened.describeTree(listing.read(picked))).toEqual(
        whole.filter((line) => starts.some((start) => line.startsWith(start))),
      );
    });

    test('gives up a listing that nobody reads from, and leaves nothing behind', async () => {
      const volume = await newVolume();
      const listing = await opened.volumes.listTree(volume);
      await listing?.[Symbol.asyncDispose]();
      await opened.volumes.remove(volume);
      expect(await opened.volumes.find(volume)).toBeUndefined();
    });

    test('stops reading when its reader does, and leaves nothing behind', async () => {
      const volume = await newVolume();
      await opened.volumes.writeTree(volume, opened.sampleTree());
      for await (const chunk of await opened.volumes.readTree(volume)) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
    });

    test('removes a volume, and removing it again is fine', async () => {
      const volume = await newVolume();
      await opened.volumes.remove(volume);
      await opened.volumes.remove(volume);
      expect(await opened.volumes.find(volume)).toBeUndefined();
      await expect(opened.volumes.readTree(volume)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    });
  });
}
