import { once } from 'node:events';
import { type Header, extract, pack } from 'tar-stream';
import { expect, test } from 'vitest';
import { asOwnImage } from './own-image.ts';

const as = { tag: 'ours:1', labels: { whose: 'ours' }, architecture: 'amd64' };
const layer = 'a'.repeat(64);
const config = {
  architecture: 'amd64',
  os: 'linux',
  config: {
    Env: ['PATH=/bin'],
    User: '1000',
    Labels: { whose: 'theirs' },
    OnBuild: ['RUN steal'],
    Volumes: { '/v': {} },
    Healthcheck: { Test: ['CMD', 'beat'] },
    Entrypoint: ['/trap'],
  },
  rootfs: { type: 'layers', diff_ids: ['sha256:1'] },
};
const manifest = [{ Config: 'c.json', RepoTags: ['opencode-sandbox-base:latest'], Layers: [`${layer}/layer.tar`] }];

interface Member extends Partial<Header> {
  readonly name: string;
  readonly content?: string;
}

const saved = (over: { config?: unknown; manifest?: unknown } = {}, more: readonly Member[] = []): Member[] => [
  { name: `${layer}/`, type: 'directory' },
  { name: `${layer}/layer.tar`, content: 'layer' },
  { name: 'c.json', content: JSON.stringify(over.config ?? config) },
  ...more,
  { name: 'repositories', content: '{"opencode-sandbox-base":{"latest":"x"}}' },
  { name: 'manifest.json', content: JSON.stringify(over.manifest ?? manifest) },
];

async function rewritten(members: readonly Member[]): Promise<ReadonlyMap<string, string>> {
  const tar = pack();
  for (const { content = '', ...header } of members) tar.entry(header, content);
  tar.finalize();
  const found = new Map<string, string>();
  const out = extract();
  const reading = (async () => {
    for await (const entry of out) {
      let text = '';
      for await (const bytes of entry as AsyncIterable<Buffer>) text += bytes.toString();
      found.set(entry.header.name, text);
    }
  })();
  const own = asOwnImage(tar as unknown as AsyncIterable<Uint8Array>, as);
  for await (const bytes of own as AsyncIterable<Buffer>) if (!out.write(bytes)) await once(out, 'drain');
  out.end(null);
  await reading;
  return found;
}

test('an image gets our name and labels alone, and keeps nothing that acts by itself', async () => {
  const found = await rewritten(saved());
  const [image] = JSON.parse(found.get('manifest.json') ?? '');
  expect(image).toEqual({ Config: 'opencode-tools.json', RepoTags: ['ours:1'], Layers: [`${layer}/layer.tar`] });
  expect(JSON.parse(found.get('opencode-tools.json') ?? '')).toEqual({
    architecture: 'amd64',
    os: 'linux',
    config: { Env: ['PATH=/bin'], User: '1000', WorkingDir: '', Cmd: ['/bin/sh'], Labels: { whose: 'ours' } },
    rootfs: config.rootfs,
  });
  expect(found.get(`${layer}/layer.tar`)).toBe('layer');
  expect(found.has('repositories')).toBe(false);
});

test.each([
  ['two images', saved({ manifest: [...manifest, ...manifest] }), 'more than one image'],
  ['a layer that is not there', saved({ manifest: [{ ...manifest[0], Layers: ['b/layer.tar'] }] }), 'lacks a layer'],
  ['a layer too few', saved({ config: { ...config, rootfs: { diff_ids: ['1', '2'] } } }), 'not those that it names'],
  ['another system', saved({ config: { ...config, os: 'windows' } }), 'not for Linux'],
  ['no manifest', saved().slice(0, -1), 'lacks'],
  ['a name of ours', saved({}, [{ name: 'opencode-tools.json', content: '{}' }]), 'twice'],
  ['a member twice', saved({}, [{ name: 'c.json', content: '{}' }]), 'twice'],
  ['a link that leads out', saved({}, [{ name: 'x', type: 'symlink', linkname: '../../etc/passwd' }]), 'no image has'],
  ['a device', saved({}, [{ name: 'x', type: 'character-device' }]), 'no image has'],
  ['a description that is none', saved({ manifest: 'x' }), 'cannot be read'],
])('%s is refused', async (_name, members, why) => {
  await expect(rewritten(members)).rejects.toMatchObject({
    code: 'OCT_INVALID_ARGUMENT',
    message: expect.stringContaining(why),
  });
});

test('an image that is cut off is refused', async () => {
  const whole = pack();
  whole.entry({ name: 'layer', size: 5_000 }, 'x'.repeat(5_000));
  whole.finalize();
  const cut = async function* () {
    for await (const bytes of whole as unknown as AsyncIterable<Uint8Array>) {
      yield bytes.subarray(0, 1_000);
      if (bytes.length > 1_000) return;
    }
  };
  const own = asOwnImage(cut(), as);
  const read = async () => {
    for await (const _ of own as AsyncIterable<Buffer>);
  };
  await expect(read()).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
});

test('an image of another architecture is refused with the way out', async () => {
  await expect(rewritten(saved({ config: { ...config, architecture: 'arm64' } }))).rejects.toMatchObject({
    code: 'OCT_CAPABILITY_UNSUPPORTED',
    remedy: expect.stringContaining('without its root file system'),
  });
});
