import { createHash } from 'node:crypto';
import { createIds, silentLogger, systemClock } from '@opencode-tools/core';
import {
  type TestEngine,
  imageStoreContract,
  openTestEngine,
  sandboxRuntimeContract,
  volumePortContract,
} from '@opencode-tools/testkit';
import { type Header, extract, pack } from 'tar-stream';
import { createDockerRuntime } from './index.ts';

const clock = systemClock;

function open(engine: TestEngine, baseImages: readonly string[] = []) {
  return createDockerRuntime({
    environment: process.env,
    homeId: engine.homeId,
    ids: createIds(clock),
    clock,
    logger: silentLogger,
    baseImages,
  });
}

sandboxRuntimeContract('Docker', async () => {
  const engine = await openTestEngine();
  const { runtime } = open(engine);
  const { runtime: other } = open(engine);
  return {
    runtime,
    other,
    homeId: engine.homeId,
    imageId: engine.imageId,
    close: async () => {
      await runtime.close();
      await other.close();
      await engine.close();
    },
  };
});

async function openVolumes(imagesOf: (engine: TestEngine) => Promise<readonly string[]>) {
  const engine = await openTestEngine();
  const images = await imagesOf(engine);
  const { runtime } = open(engine, images);
  return {
    volumes: runtime.volumes,
    labels: { 'io.opencode-tools.home': engine.homeId },
    sampleTree: () => sampleTree(new Date(1_700_000_000_000)),
    describeTree,
    lists: images.length > 0,
    close: async () => engine.close(),
  };
}

volumePortContract('Docker', () => openVolumes(async () => []));
volumePortContract('Docker with an image of ours', () => openVolumes(async (engine) => [await engine.gnuImage()]));

imageStoreContract('Docker', async () => {
  const engine = await openTestEngine();
  const { images } = open(engine);
  const repo = `oct-test-${engine.homeId.slice(-12)}`;
  let tags = 0;
  return {
    images,
    imageId: engine.imageId,
    labels: { 'io.opencode-tools.home': engine.homeId },
    addTag: async () => {
      tags += 1;
      await engine.call('POST', `/images/${engine.imageId}/tag?repo=${repo}&tag=${tags}`);
      return `${repo}:${tags}`;
    },
    close: async () => engine.close(),
  };
});

function sampleTree(mtime: Date): AsyncIterable<Uint8Array> {
  const tar = pack();
  const agent = { uid: 1000, gid: 1000, mtime };
  const content = Buffer.from(Array.from({ length: 70_000 }, (_, index) => index % 251));
  tar.entry({ name: './', type: 'directory', mode: 0o755, ...agent });
  tar.entry({ name: 'empty/', type: 'directory', mode: 0o755, ...agent });
  tar.entry({ name: 'private/', type: 'directory', mode: 0o700, ...agent, uid: 1234 });
  tar.entry({ name: 'private/file', mode: 0o600, ...agent }, content);
  tar.entry({ name: 'private/run', mode: 0o4751, ...agent, gid: 4321 }, '#!/bin/sh\n');
  tar.entry({ name: 'nothing', mode: 0o444, ...agent }, '');
  tar.entry({ name: 'second-name', type: 'link', linkname: 'private/file', mode: 0o600, ...agent });
  tar.entry({ name: 'out', type: 'symlink', linkname: '../../etc/passwd', mode: 0o777, ...agent });
  tar.entry({ name: 'absolute', type: 'symlink', linkname: '/etc/passwd', mode: 0o777, ...agent });
  tar.entry({ name: 'long-name/'.repeat(20), type: 'directory', mode: 0o755, ...agent });
  tar.entry({ name: `${'long-name/'.repeat(20)}ünïcode\nline`, mode: 0o644, ...agent }, 'text');
  tar.finalize();
  return tar as unknown as AsyncIterable<Uint8Array>;
}

/** One line per entry; which of several names of a file is the link is up to whoever walks the tree. */
async function describeTree(tar: AsyncIterable<Uint8Array>): Promise<readonly string[]> {
  const from = extract();
  const feeding = (async () => {
    for await (const chunk of tar) from.write(Buffer.from(chunk));
    from.end(Buffer.alloc(0));
  })();
  const lines = new Map<string, string>();
  const links: [string, string][] = [];
  for await (const entry of from as unknown as AsyncIterable<AsyncIterable<Uint8Array> & { header: Header }>) {
    const hash = createHash('sha256');
    for await (const chunk of entry) hash.update(chunk);
    const { name, type, mode, uid, gid, size, mtime, linkname } = entry.header;
    const path = plain(name);
    if (type === 'link') links.push([path, plain(linkname ?? '')]);
    else {
      const facts = [
        type,
        type === 'symlink' ? '' : (mode ?? 0).toString(8),
        `${uid}:${gid}`,
        size,
        type === 'directory' ? '' : mtime?.getTime(),
      ];
      lines.set(path, [...facts, linkname, hash.digest('hex').slice(0, 8)].join(' '));
    }
  }
  await feeding;
  for (const [path, target] of links) lines.set(path, lines.get(target) ?? `link to ${target}`);
  return [...lines]
    .map(([path, facts]) => `${path} ${facts}`)
    .filter((line) => !/^(long-name\/)*long-name directory/.test(line))
    .sort();
}

function plain(name: string): string {
  return name.replace(/^\.\//, '').replace(/\/$/, '') || '.';
}
