import type { RootChange } from '@opencode-tools/core';

/** One row of the engine's list: 0 modified, 1 added, 2 deleted. */
export interface EngineChange {
  readonly Path: string;
  readonly Kind: number;
}

const kinds = ['modified', 'added', 'deleted'] as const;

/** Paths that the engine and this package make in every container. */
const ours = [
  '/sbin/docker-init',
  '/usr/sbin/docker-init',
  '/run/oct',
  '/etc/hosts',
  '/etc/hostname',
  '/etc/resolv.conf',
  '/etc/mtab',
  '/.dockerenv',
  '/dev',
  '/proc',
  '/sys',
  '/tmp',
];

/**
 * Leaves out what no command did: mounts, our own files, and directories listed only because something below them is.
 *
 * @param mountTargets where volumes, host directories and tmpfs are mounted
 */
export function rootChanges(changes: readonly EngineChange[], mountTargets: readonly string[]): readonly RootChange[] {
  const hidden = [...ours, ...mountTargets];
  const real = changes.filter(({ Path }) => !hidden.some((path) => isAtOrBelow(Path, path)));
  const causes = real.filter(({ Path }) => !hidden.some((path) => isAtOrBelow(path, Path)));
  return real
    .filter((change) => causes.includes(change) || causes.some((cause) => isAtOrBelow(cause.Path, change.Path)))
    .map(({ Path, Kind }) => ({ path: Path, change: kinds[Kind] ?? 'modified' }));
}

function isAtOrBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`);
}
