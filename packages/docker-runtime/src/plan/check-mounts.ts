import { lstat, realpath } from 'node:fs/promises';
import { isAbsolute, normalize } from 'node:path';
import {
  type HostFacts,
  OpencodeToolsError,
  type SandboxMount,
  type SteeringFacts,
  assertHostDirectory,
  assertMountable,
  forbiddenHostPath,
  isWithin,
} from '@opencode-tools/core';

/** What is known of the host when mounts are judged. */
export interface MountPolicy {
  /** Home directory of the person whose secrets are not to be mounted. */
  readonly home: string | undefined;
  /** Path of the engine's socket, when it has one. */
  readonly engineSocket: string | undefined;
  /** Directories that tasks may mount, with what is in them; null for any. */
  readonly mayMount: readonly string[] | null;
  /** Looks for what programs of the host run or obey. */
  readonly steering?: (() => Promise<SteeringFacts>) | undefined;
}

const reservedTargets = ['/proc', '/sys', '/dev', '/run/oct'];

/**
 * Checks what a sandbox would see of the host, by real path, and gives the mounts with their real sources.
 *
 * @throws OpencodeToolsError `OCT_POLICY_DENIED` for a source that is, holds or lies in a place never to be mounted, or where nothing may be, or
 *   that could be written and steers programs of the host; `OCT_INVALID_ARGUMENT` for one that does not exist or a target that is not possible
 */
export async function checkMounts(
  mounts: readonly SandboxMount[],
  policy: MountPolicy,
): Promise<readonly SandboxMount[]> {
  const anyOfHost = mounts.some(({ kind }) => kind === 'bind');
  const paths = anyOfHost ? [[policy.home], [policy.engineSocket], policy.mayMount ?? []] : [];
  const [userHomes = [], sockets = [], mountable = []] = await Promise.all(paths.map(realPaths));
  const steering = anyOfHost ? await policy.steering?.() : undefined;
  const facts = { userHomes, sockets, ...steering };
  const allowed = policy.mayMount && mountable;
  const checked: SandboxMount[] = [];
  // One after the other: of several faults the first is told.
  for (const mount of mounts) {
    checkTarget(mount.target);
    checked.push(mount.kind === 'bind' ? { ...mount, source: await checkSource(mount.source, facts, allowed) } : mount);
  }
  for (const { source } of writtenTops(checked)) assertHostDirectory(source, facts);
  return checked;
}

/** Directories that commands can write. What is mounted over a part of another is there to keep it. */
function writtenTops(mounts: readonly SandboxMount[]) {
  const binds = mounts.flatMap((mount) => (mount.kind === 'bind' ? [mount] : []));
  const written = binds.filter(({ readOnly }) => !readOnly);
  return written.filter(
    ({ source, target }) =>
      !written.some(
        (other) => other.source !== source && isWithin(source, other.source) && isWithin(target, other.target),
      ),
  );
}

async function checkSource(source: string, host: HostFacts, allowed: readonly string[] | null): Promise<string> {
  const real = isAbsolute(source) ? await realpath(source).catch(() => undefined) : undefined;
  if (real === undefined) throw invalid(`The directory to mount does not exist: ${source}`, 'source');
  const kept = forbiddenHostPath(real, host);
  if (kept) throw denied(source, kept.path);
  assertMountable(real, allowed);
  const facts = await lstat(real);
  if (!facts.isDirectory() && !facts.isFile()) throw denied(source, 'what is neither a directory nor a file');
  return real;
}

/** A home or a socket may be reached through a link, while sources are judged by their real paths. */
async function realPaths(paths: readonly (string | undefined)[]): Promise<readonly string[]> {
  const named = paths.filter((path): path is string => path !== undefined && path !== '');
  return Promise.all(named.map(async (path) => realpath(path).catch(() => path)));
}

function checkTarget(target: string): void {
  const usable = isAbsolute(target) && normalize(target) === target && target !== '/' && !target.includes('\0');
  if (!usable || reservedTargets.some((path) => isWithin(target, path) || isWithin(path, target))) {
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
