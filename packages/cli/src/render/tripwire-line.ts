import type { Tripwire } from '@opencode-tools/core';
import { shownPath } from './format.ts';
import type { Style } from './style.ts';

/** One line about a change that somebody should look at. */
export function tripwireLine({ path, rule, why }: Tripwire, style: Style): string {
  return `${style.warning(`tripwire ${rule}`)} ${shownPath(path)}: ${why}`;
}
