import { lstat, realpath } from 'node:fs/promises';
import { isAbsolute, normalize, relative } from 'node:path';
import { OpencodeToolsError, type SandboxMount } from '@opencode-tools/core';

/** What is known of the host when mounts are judged. */
export interface MountPolicy {
  /** Home directory of the person whose secrets are not to be mounted. */
  readonly home: string | undefined;
  /** Path of the engine's socket, when it has one. */
  readonly engineSocket: string | undefined;
}

const systemPaths = [
  '/proc',
  '/sys',
  '/dev',
  '/etc',
  '/boot',
  '/run',
  '/var/run',
  '/var/lib/docker',
  '/var/lib/containerd',
];
const secretNames = [
  '.ssh',
  '.gnupg',
  '.aws',
  '.azure',
  '.kube',
  '.docker',
  '.config/gcloud',
  '.config/gh',
  '.password-store',
  '.netrc',
];
const reservedTargets = ['/proc', '/sys', '/dev', '/run/oct'];

/**
 * Checks what a sandbox would see of the host, by real path, and gives the mounts with their real sources.
 *
 * @throws OpencodeToolsError `OCT_POLICY_DENIED` for a source that is, holds or lies in a place never to be mounted;
 *   `OCT_INVALID_ARGUMENT` for one that does not exist or a target that is not possible
 */
export async function checkMounts(
  mounts: readonly SandboxMount[],
  policy: MountPolicy,
): Promise<readonly SandboxMount[]> {
  return Promise.all(
    mounts.map(async (mount) => {
      checkTarget(mount.target);
      return mount.kind === 'bind' ? { ...mount, source: await checkSource(mount.source, policy) } : mount;
    }),
  );
}

async function checkSource(source: string, policy: MountPolicy): Promise<string> {
  const real = isAbsolute(source) ? await realpath(source).catch(() => undefined) : undefined;
  if (real === undefined) throw invalid(`The directory to mount does not exist: ${source}`, 'source');
  const kept = forbiddenPath(real, policy);
  if (kept) throw denied(source, kept);
  const facts = await lstat(real);
  if (!facts.isDirectory() && !facts.isFile()) throw denied(source, 'what is neither a directory nor a file');
  return real;
}

/** The protected path that a real path is, lies in or holds; undefined when there is none. */
export function forbiddenPath(real: string, policy: MountPolicy): string | undefined {
  const secrets = policy.home ? secretNames.map((name) => `${policy.home}/${name}`) : [];
  const kept = [...systemPaths, ...secrets, ...(policy.engineSocket ? [policy.engineSocket] : [])];
  return kept.find((path) => isInside(real, path) || isInside(path, real));
}

function isInside(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way === '' || (!way.startsWith('..') && !isAbsolute(way));
}

function checkTarget(target: string): void {
  const usable = isAbsolute(target) && normalize(target) === target && target !== '/' && !/[,:\0]/.test(target);
  if (!usable || reservedTargets.some((path) => isInside(target, path) || isInside(path, target))) {
    throw invalid(`Nothing can be mounted at ${target}`, 'target');
  }
}

function invalid(message: string, argument: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', message, { details: { argument } });
}

function denied(source: string, kept: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_POLICY_DENIED', `A sandbox never sees ${kept}; it would through ${source}`, {
    remedy: 'Name a directory that holds the work alone, such as the root of the repository.',
    details: { source, kept },
  });
}
