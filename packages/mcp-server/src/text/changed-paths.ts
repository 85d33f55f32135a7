import type { TreeChange, Tripwire } from '@opencode-tools/core';

/** So many paths are listed. */
const mostPaths = 500;

const letters = { added: 'A', deleted: 'D', modified: 'M' } as const;

/** Paths of a list as a field of a tool's result: well formed, and at most 500. */
export function pathsField(paths: readonly string[]): string[] {
  return paths.slice(0, mostPaths).map((path) => path.toWellFormed());
}

/** Changed paths for programs, at most 500. */
export function changesField(changes: readonly TreeChange[]): { path: string; change: string }[] {
  return changes.slice(0, mostPaths).map(({ path, change }) => ({ path: path.toWellFormed(), change }));
}

/** The same for a model, one a line, with how many more there are. */
export function changeLines(changes: readonly TreeChange[], prefix = ''): readonly string[] {
  return listed(
    changes.map(({ path, change }) => `${letters[change]} ${prefix}${onLine(path)}`),
    'changed paths',
  );
}

export function tripwiresField(tripwires: readonly Tripwire[]): { path: string; rule: string; why: string }[] {
  return tripwires.slice(0, mostPaths).map(({ path, rule, why }) => ({ path: path.toWellFormed(), rule, why }));
}

/** Changes that would run on the host or steer agents, one a line. */
export function tripwiresOf(tripwires: readonly Tripwire[]): readonly string[] {
  return listed(
    tripwires.map(({ path, rule, why }) => `tripwire ${onLine(path)} (${rule}): ${why}`),
    'tripwires',
  );
}

/** Paths that stand in the way, one a line. */
export function conflictLines(conflicts: readonly { readonly path: string; readonly reason: string }[]) {
  return listed(
    conflicts.map(({ path, reason }) => `conflict ${onLine(path)}: ${onLine(reason)}`),
    'conflicts',
  );
}

/** A name stays on its line. */
function onLine(text: string): string {
  const line = text.toWellFormed().replaceAll(/\p{Cc}/gu, '?');
  return line.length > 200 ? `…${line.slice(-199).toWellFormed()}` : line;
}

function listed(lines: readonly string[], what: string): readonly string[] {
  const most = 150;
  return lines.length <= most ? lines : [...lines.slice(0, most), `and ${lines.length - most} more ${what}`];
}
