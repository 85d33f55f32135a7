import type { ImageStore } from '@opencode-tools/core';
import { type TestEngine, openTestEngine, removeMadeImages, runIn, samplePlan } from '@opencode-tools/testkit';
import { pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openRuntime } from '../../test/open-runtime.ts';

let engine: TestEngine;
let images: ImageStore;
let runtime: ReturnType<typeof openRuntime>['runtime'];
let name: string;
const lines: string[] = [];
const onProgress = (line: string): void => void lines.push(line);
const builds = (): number => lines.splice(0).filter((line) => line.startsWith('Successfully built')).length;

beforeAll(async () => {
  engine = await openTestEngine();
  ({ runtime, images } = openRuntime(engine.homeId));
  name = `oct-test/made-${engine.homeId.slice(-12)}`;
  await engine.call('POST', `/images/${engine.imageId}/tag?repo=${name}-base&tag=1`);
});
afterAll(async () => {
  await images.remove(`${name}-base:1`);
  await removeMadeImages(engine, name);
  await runtime.close();
  await engine.close();
});

describe('an image of a user\u2019s own', () => {
  test('is made once from the same base and steps, kept as a version, and gone back to', async () => {
    const base = `${name}-base:1`;
    const setup = ['echo "it\'s 1"\\\n>/opt/one', 'cat /opt/one >/opt/two; id -u >>/opt/two'];
    const first = await images.make({ name, base, setup }, { onProgress });
    expect(builds()).toBe(1);
    const sandbox = await runtime.create(samplePlan(engine.homeId, first.id));
    expect((await runIn(sandbox, 'cat /opt/two; id -u')).stdout).toBe("it's 1\n0\n1000\n");
    await sandbox.destroy();
    expect(await images.make({ name, base, setup }, { onProgress })).toMatchObject({ id: first.id });
    expect(builds()).toBe(0);
    const second = await images.make({ name, base, setup: [...setup, 'echo 3 >/opt/three'] });
    expect(second.id).not.toBe(first.id);
    const versions = await images.versions(name);
    expect(versions.map(({ id, current, stale }) => ({ id, current, stale }))).toEqual([
      { id: second.id, current: true, stale: false },
      { id: first.id, current: false, stale: false },
    ]);
    expect(await images.rollBack(name)).toMatchObject({ id: first.id });
    expect(await images.find(`${name}:latest`)).toMatchObject({ id: first.id });
    expect(await images.rollBack(name, second.id.slice(7, 17))).toMatchObject({ id: second.id });
    await images.rollBack(name, first.references.find((one) => one.includes(':inputs-'))?.split(':')[1]);
    await expect(images.rollBack(name)).rejects.toMatchObject({ code: 'OCT_IMAGE_NOT_FOUND' });
    await engine.call('POST', `/images/${second.id}/tag?repo=${name}-base&tag=1`);
    expect((await images.versions(name)).map(({ stale }) => stale)).toEqual([true, true]);
    const [newest] = await images.versions(name);
    expect(newest && (await images.removeVersion(newest))).toBe(true);
    expect((await images.versions(name)).map(({ id }) => id)).toEqual([first.id]);
  });

  test('is built from a Dockerfile with its context, whenever the files were written, and set up on that', async () => {
    const recipe = (written: number, setup: readonly string[] = []) => ({
      name,
      setup,
      dockerfile: 'sub/Dockerfile',
      context: () => contextOf(written),
    });
    const plain = await images.make(recipe(1), { onProgress });
    expect(builds()).toBe(1);
    expect(await images.make(recipe(2), { onProgress })).toMatchObject({ id: plain.id, user: '1000' });
    expect(builds()).toBe(0);
    const setUp = await images.make(recipe(3, ['cp /opt/file /opt/copy']), { onProgress });
    expect(builds()).toBe(1);
    expect(setUp).toMatchObject({ user: '1000' });
    expect(await images.find(`${name}:latest`)).toMatchObject({ id: setUp.id });
  });

  test('is built without what its .dockerignore names, which makes no other image of it', async () => {
    const files = (secret: string) => ({
      Dockerfile: `FROM ${engine.imageId}\nCOPY . /opt/\n`,
      '.dockerignore': 'secret*\n!secret.example\n**/cache\n',
      'secret.env': secret,
      'secret.example': 'NAME=\n',
      'a/cache/b': secret,
      'a/file': 'kept\n',
    });
    const contextOfFiles =
      (all: Readonly<Record<string, string>>) =>
      (leaveOut: (path: string) => boolean): AsyncIterable<Uint8Array> => {
        const tar = pack();
        for (const [path, content] of Object.entries(all)) {
          if (!leaveOut(path)) tar.entry({ name: `./${path}`, mode: 0o644, mtime: new Date(0) }, content);
        }
        tar.finalize();
        return tar as unknown as AsyncIterable<Uint8Array>;
      };
    const made = await images.make({ name, setup: [], context: contextOfFiles(files('one')) });
    const sandbox = await runtime.create(samplePlan(engine.homeId, made.id));
    expect((await runIn(sandbox, 'cd /opt; find . -type f | sort; cat a/file')).stdout).toBe(
      './.dockerignore\n./Dockerfile\n./a/file\n./secret.example\nkept\n',
    );
    await sandbox.destroy();
    expect((await images.make({ name, setup: [], context: contextOfFiles(files('two')) })).id).toBe(made.id);
    const bare = { ...files('one'), 'Dockerfile.dockerignore': '*\n' };
    const other = await images.make({ name, setup: [], context: contextOfFiles(bare) });
    expect(other.id).not.toBe(made.id);
  });

  test('says what a step that fails said, and what is no recipe', async () => {
    const refused = { code: 'OCT_INVALID_ARGUMENT' };
    const base = engine.imageId;
    await expect(images.make({ name, base, setup: ['echo why; exit 3'] })).rejects.toMatchObject({
      ...refused,
      remedy: expect.stringContaining('why') as string,
    });
    await expect(images.make({ name, setup: [] })).rejects.toMatchObject(refused);
    await expect(images.make({ name: 'Not A Name', base, setup: [] })).rejects.toMatchObject(refused);
    await expect(images.make({ name: 'opencode-sandbox-base', base, setup: [] })).rejects.toMatchObject(refused);
  });
});

function contextOf(written: number): AsyncIterable<Uint8Array> {
  const tar = pack();
  const mtime = new Date(written * 1_000_000);
  const dockerfile = `FROM ${engine.imageId}\nCOPY file /opt/file\nUSER 1000\n`;
  tar.entry({ name: './', type: 'directory', mode: 0o755, mtime });
  tar.entry({ name: './sub/', type: 'directory', mode: 0o755, mtime });
  tar.entry({ name: './sub/Dockerfile', mode: 0o644, mtime }, dockerfile);
  tar.entry({ name: './file', mode: 0o644, mtime }, 'content\n');
  tar.finalize();
  return tar as unknown as AsyncIterable<Uint8Array>;
}
