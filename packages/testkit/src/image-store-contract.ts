import type { ImageStore } from '@opencode-tools/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

export interface OpenImageStore {
  readonly images: ImageStore;
  /** An image that exists, and labels that it alone has. */
  readonly imageId: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Gives the image another tag. */
  readonly addTag: () => Promise<string>;
  readonly close: () => Promise<void>;
}

/** Says what every `ImageStore` does. Called at the top level of a test file. */
export function imageStoreContract(name: string, open: () => Promise<OpenImageStore>): void {
  describe(`${name} as an image store`, () => {
    let opened: OpenImageStore;
    beforeAll(async () => {
      opened = await open();
    });
    afterAll(async () => opened.close());

    test('finds an image by id and by tag', async () => {
      const { images, imageId, addTag } = opened;
      const [kept, tag] = [await addTag(), await addTag()];
      const facts = await images.find(imageId);
      expect(facts).toMatchObject({ id: imageId, labels: opened.labels });
      expect(facts?.references).toContain(tag);
      expect(facts?.sizeBytes).toBeGreaterThan(0);
      expect(await images.find(tag)).toEqual(facts);
      expect(await images.ensure(tag)).toEqual(facts);
      await images.remove(tag);
      expect(await images.find(tag)).toBeUndefined();
      expect((await images.find(imageId))?.references).toEqual([kept]);
    });

    test('lists images by label', async () => {
      const listed = await opened.images.list({ labels: opened.labels });
      expect(listed.map(({ id }) => id)).toEqual([opened.imageId]);
    });

    test('finds an image that is pinned by name and content id, under that name only', async () => {
      const { images, imageId, addTag } = opened;
      const tag = await addTag();
      const name = tag.slice(0, tag.lastIndexOf(':'));
      expect(await images.ensure(`${name}@${imageId}`)).toMatchObject({ id: imageId });
      expect(await images.find(`${tag}@${imageId}`)).toMatchObject({ id: imageId });
      expect(await images.find(`oct-test-another@${imageId}`)).toBeUndefined();
      expect(await images.find(`${name}@sha256:${'0'.repeat(64)}`)).toBeUndefined();
      await expect(images.ensure(`opencode-sandbox-base@sha256:${'0'.repeat(64)}`)).rejects.toMatchObject({
        code: 'OCT_IMAGE_NOT_FOUND',
        remedy: 'Build it with `opencode-tools images build`.',
      });
      await images.remove(tag);
    });

    test('has no image that does not exist, and removing it is fine', async () => {
      expect(await opened.images.find('oct-test-no-such-image')).toBeUndefined();
      await opened.images.remove('oct-test-no-such-image');
    });

    test('takes in what it saved under one name, with the labels that it is given alone', async () => {
      const { images, imageId, addTag, labels } = opened;
      const before = await images.find(imageId);
      const tag = await addTag();
      await images.remove(tag);
      const loaded = await images.load(await images.save(imageId), { tag, labels: { 'oct-test-loaded': 'yes' } });
      expect(loaded).toMatchObject({ references: [tag], user: before?.user, labels: { 'oct-test-loaded': 'yes' } });
      for (const name of Object.keys(labels)) expect(loaded.labels[name] ?? '').toBe('');
      // Some engines count what describes an image as well.
      expect(Math.abs(loaded.sizeBytes - (before?.sizeBytes ?? 0))).toBeLessThan(4096);
      expect(await images.find(imageId)).toEqual(before);
      await images.remove(tag);
      expect(await images.find(tag)).toBeUndefined();
    });

    test('takes in no image that is cut off or none', async () => {
      const { images, imageId, addTag } = opened;
      const tag = await addTag();
      await images.remove(tag);
      const cut = async function* () {
        let taken = 0;
        for await (const bytes of await images.save(imageId)) {
          taken += bytes.length;
          yield bytes.subarray(0, 700);
          if (taken > 700) return;
        }
      };
      const none = async function* () {
        yield new Uint8Array(2_048);
      };
      for (const saved of [cut(), none()]) {
        await expect(images.load(saved, { tag, labels: {} })).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
      }
      expect(await images.find(tag)).toBeUndefined();
      await expect(images.save(`sha256:${'0'.repeat(64)}`)).rejects.toMatchObject({ code: 'OCT_IMAGE_NOT_FOUND' });
    });

    test('says how to get an image that it cannot get', async () => {
      const missing = `sha256:${'0'.repeat(64)}`;
      await expect(opened.images.ensure(missing)).rejects.toMatchObject({ code: 'OCT_IMAGE_NOT_FOUND' });
      await expect(opened.images.ensure('opencode-sandbox-base:no-such-version')).rejects.toMatchObject({
        code: 'OCT_IMAGE_NOT_FOUND',
        remedy: 'Build it with `opencode-tools images build`.',
      });
    });
  });
}
