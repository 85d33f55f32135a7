import type { Execution } from '@opencode-tools/core';

const mostPaths = 8;
const longestPath = 100;
const longestReason = 200;

/** What a command changed on the host that would run there or steer agents, as at most one line of 3,000 bytes for a model. */
export function tripwireLines({ tripwires }: Pick<Execution, 'tripwires'>): readonly string[] {
  if (tripwires === undefined) return [];
  const { checked, reason, found, total } = tripwires;
  if (!checked)
    return [`Not looked at for tripwires: ${(reason ?? 'the workspace could not be read').slice(0, longestReason)}`];
  const listed = found.slice(0, mostPaths).map(({ path, rule }) => `${shown(path)} (${rule})`);
  const more = total - listed.length;
  const rest = more > 0 ? ` and ${more} more` : '';
  return [`Tripwires, changes on the user's machine that may run there or steer agents: ${listed.join(', ')}${rest}`];
}

function shown(path: string): string {
  const line = path.toWellFormed().replaceAll(/\p{Cc}/gu, '?');
  return line.length > longestPath ? `…${line.slice(1 - longestPath).toWellFormed()}` : line;
}
