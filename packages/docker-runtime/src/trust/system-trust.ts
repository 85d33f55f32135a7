import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dirname, resolve } from 'node:path/posix';
import type { Logger, SandboxMount, SandboxPlan } from '@opencode-tools/core';
import { extract } from 'tar-stream';
import { Containers, absentAsUndefined } from '../engine/containers.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import { hasStatus } from '../engine/engine-error.ts';
import { fullLabels } from '../plan/labels.ts';
import { withHelper } from '../volumes/helper-container.ts';
import { subjectHash } from './subject-hash.ts';

/** Where distributions keep all authorities in one file; links among them are followed. */
const bundlePaths = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
] as const;
/** Debian's OpenSSL looks up each authority by a file of its own here. */
const hashedDirectory = '/etc/ssl/certs';
const mostLinks = 8;
const mostBytes = 8 * 1024 ** 2;

interface Tools {
  readonly client: EngineClient;
  readonly containers: Containers;
  readonly homeId: string;
}

/**
 * What `systemTrust` gives for a sandbox that may get a network. Variables tell most programs of the home's authority, so a store that
 * cannot be read keeps nobody from working.
 */
export async function trustMounts(
  client: EngineClient,
  { homeId, imageId, networkFiles }: SandboxPlan,
  logger: Logger,
): Promise<readonly SandboxMount[]> {
  if (networkFiles === undefined) return [];
  try {
    return await systemTrust(
      { client, containers: new Containers(client), homeId },
      imageId,
      networkFiles.trustDirectory,
    );
  } catch (error) {
    // An image that is not there is told by what is made of it.
    if (!hasStatus(error, 404))
      logger.warn('The home is not added to the authorities of an image', { imageId, error: String(error) });
    return [];
  }
}

/**
 * Gives an image's own store of authorities with the home's added, as files of the host to be mounted over it: programs that read the
 * system's store trust what the gateway shows for terminated hosts. The image stays as it is. An image without a store gets none.
 *
 * @param trustDirectory of the home, with `ca.pem`; copies are kept there, by content
 */
async function systemTrust(tools: Tools, imageId: string, trustDirectory: string): Promise<readonly SandboxMount[]> {
  const authority = await readFile(join(trustDirectory, 'ca.pem'), 'utf8');
  const directory = join(trustDirectory, 'system');
  const index = join(directory, `${digestOf(`${imageId}\0${authority}`)}.json`);
  const known = await readFile(index, 'utf8').catch(() => undefined);
  const stores = known === undefined ? await writeStores(tools, imageId, authority, directory, index) : storesIn(known);
  const hash = stores.some(({ usual }) => dirname(usual) === hashedDirectory) ? subjectHash(authority) : undefined;
  return [
    ...stores.map(({ target, file }) => readOnly(join(directory, file), target)),
    ...(hash === undefined ? [] : [readOnly(join(trustDirectory, 'ca.pem'), `${hashedDirectory}/${hash}.0`)]),
  ];
}

interface Store {
  /** Where it is looked for, and where it is by its real path. */
  readonly usual: string;
  readonly target: string;
  /** Name of the copy. */
  readonly file: string;
}

async function writeStores(
  tools: Tools,
  imageId: string,
  authority: string,
  directory: string,
  index: string,
): Promise<readonly Store[]> {
  await mkdir(directory, { recursive: true, mode: 0o755 });
  const stores: Store[] = [];
  for (const { usual, path: target, content } of await readBundles(tools, imageId)) {
    const whole = `${content.trimEnd()}\n${authority}`;
    const file = `${digestOf(whole)}.pem`;
    await writeWhole(join(directory, file), whole);
    stores.push({ usual, target, file });
  }
  await writeWhole(index, JSON.stringify(stores));
  return stores;
}

interface Bundle {
  readonly usual: string;
  readonly path: string;
  readonly content: string;
}

/** By their real paths in the image; read from a container that is never started. */
async function readBundles(tools: Tools, imageId: string): Promise<readonly Bundle[]> {
  const options = {
    Image: imageId,
    Cmd: ['none'],
    Entrypoint: [],
    User: '0:0',
    Labels: fullLabels({ home: tools.homeId, kind: 'helper' }),
    NetworkDisabled: true,
    HostConfig: { NetworkMode: 'none', CapDrop: ['ALL'], SecurityOpt: ['no-new-privileges'] },
  };
  return withHelper(tools, options, async (id) => {
    const found: Bundle[] = [];
    for (const path of bundlePaths) {
      const bundle = await readFollowing(tools.client, id, path);
      if (bundle === undefined || found.some((other) => other.path === bundle.path)) continue;
      if (bundle.content.includes('-----BEGIN CERTIFICATE-----')) found.push({ usual: path, ...bundle });
    }
    return found;
  });
}

async function readFollowing(
  client: EngineClient,
  id: string,
  first: string,
): Promise<Omit<Bundle, 'usual'> | undefined> {
  let path = first;
  for (let links = 0; links <= mostLinks; links += 1) {
    const answer = await absentAsUndefined(
      client.stream({ method: 'GET', path: `/containers/${id}/archive`, query: { path } }),
    );
    if (answer === undefined) return undefined;
    let next: string | undefined;
    let content = '';
    for await (const entry of answer.pipe(extract())) {
      const { type, linkname, size } = entry.header;
      if (type === 'symlink') next = resolve(dirname(path), linkname);
      for await (const chunk of entry as AsyncIterable<Uint8Array>)
        if (type === 'file' && size <= mostBytes) content += Buffer.from(chunk).toString('latin1');
    }
    if (next === undefined) return { path, content };
    path = next;
  }
  return undefined;
}

function storesIn(index: string): readonly Store[] {
  return JSON.parse(index) as readonly Store[];
}

function readOnly(source: string, target: string): SandboxMount {
  return { kind: 'bind', source, target, readOnly: true };
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

async function writeWhole(file: string, content: string): Promise<void> {
  const fresh = `${file}.${randomUUID()}`;
  await writeFile(fresh, content, { mode: 0o644, encoding: 'latin1' });
  await rename(fresh, file);
}
