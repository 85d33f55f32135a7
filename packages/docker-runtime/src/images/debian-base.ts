import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { OpencodeToolsError } from '@opencode-tools/core';
import { absentAsUndefined } from '../engine/containers.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import { readLines } from './progress-lines.ts';
import { pullImage } from './pull-image.ts';

const debianSuite = 'bookworm';
const registryImage = `debian:${debianSuite}-slim`;
const ownImage = `opencode-sandbox-debian:${debianSuite}`;
const defaultMirror = 'http://deb.debian.org/debian';
const pullLimitMs = 20_000;
const debootstrapLimitMs = 15 * 60_000;

interface Options {
  readonly onLine: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds or makes the Debian that our images start from: the registry's, or where no registry answers one that is made
 * here from Debian's packages.
 */
export async function debianBase(client: EngineClient, options: Options): Promise<string> {
  for (const image of [registryImage, ownImage]) {
    const path = `/images/${encodeURIComponent(image)}/json`;
    if (await absentAsUndefined(client.call({ method: 'GET', path }))) return image;
  }
  try {
    await pullImage(client, registryImage, { ...options, limitMs: pullLimitMs });
    return registryImage;
  } catch (error) {
    if (options.signal?.aborted) throw error;
    options.onLine(`No registry gives out ${registryImage}; making a Debian from its packages`);
    await makeDebian(client, options, error);
    return ownImage;
  }
}

/** The package sources of a host that runs the same Debian: it may have a mirror that alone can be reached. */
export async function hostSources(): Promise<Readonly<Record<string, string>>> {
  const release = await readText('/etc/os-release');
  const same = /^ID=debian$/m.test(release) && release.includes(`VERSION_CODENAME=${debianSuite}`);
  const sources = same ? await readText('/etc/apt/sources.list.d/debian.sources') : '';
  return sources ? { 'debian.sources': sources } : {};
}

async function makeDebian(client: EngineClient, options: Options, cause: unknown): Promise<void> {
  if (process.getuid?.() !== 0 || !(await hasDebootstrap())) throw noBase(cause);
  const directory = await mkdtemp(join(tmpdir(), 'opencode-tools-debian-'));
  try {
    await debootstrap(directory, await mirror(), options);
    await importTree(client, directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function debootstrap(directory: string, from: string, { onLine, signal }: Options): Promise<void> {
  const limit = AbortSignal.timeout(debootstrapLimitMs);
  const child = spawn('debootstrap', ['--variant=minbase', debianSuite, directory, from], {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
  });
  child.stdout.on('data', (chunk: Buffer) => onLine(chunk.toString('utf8').trimEnd()));
  await ended(child, 'debootstrap');
}

async function importTree(client: EngineClient, directory: string): Promise<void> {
  const [repo, tag] = ownImage.split(':');
  const child = spawn('tar', ['--create', '--numeric-owner', `--directory=${directory}`, '.'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = ended(child, 'tar');
  const query = { fromSrc: '-', repo, tag };
  const answer = await client.stream({
    method: 'POST',
    path: '/images/create',
    query,
    file: child.stdout,
    limitMs: debootstrapLimitMs,
  });
  await Promise.all([readLines(answer, () => undefined), exited]);
}

async function ended(child: ReturnType<typeof spawn>, name: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new OpencodeToolsError('OCT_INTERNAL', `Making a Debian failed: ${name} ended with ${code}`));
    });
  });
}

async function hasDebootstrap(): Promise<boolean> {
  return promisify(execFile)('debootstrap', ['--version']).then(
    () => true,
    () => false,
  );
}

async function mirror(): Promise<string> {
  const { 'debian.sources': sources = '' } = await hostSources();
  return /^URIs: (\S+)$/m.exec(sources)?.[1] ?? defaultMirror;
}

async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}

function noBase(cause: unknown): OpencodeToolsError {
  return new OpencodeToolsError(
    'OCT_IMAGE_PULL_FAILED',
    `No registry gives out ${registryImage}, and no Debian can be made here`,
    {
      remedy: `Load ${registryImage} into the engine, or build as root on Debian or Ubuntu with debootstrap installed.`,
      details: { image: registryImage },
      cause,
    },
  );
}
