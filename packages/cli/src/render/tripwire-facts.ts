import type { Execution } from '@opencode-tools/core';
import { oneLine, shownPath } from './format.ts';

/** What a person should look at after a command in a bind workspace, a line each; none when it tripped nothing. */
export function tripwireFacts({ tripwires }: Pick<Execution, 'tripwires'>): readonly string[] {
  if (tripwires === undefined) return [];
  const { checked, reason, found, total } = tripwires;
  if (!checked) return [`not looked at for tripwires: ${oneLine(reason ?? 'the workspace could not be read', 200)}`];
  const listed = found.map(
    ({ path, rule, why }) => `tripwire ${rule}, on this machine already: ${shownPath(path)}: ${why}`,
  );
  const more = total - found.length;
  return more > 0 ? [...listed, `${more} more tripwires`] : listed;
}
