import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { isWithin } from './forbidden-host-path.ts';

/**
 * Sees to it that a directory of the host is one that tasks may mount. What no sandbox ever sees is refused besides, whatever is allowed here.
 * Pure, so the caller resolves links first, in the path and in the list.
 *
 * @param allowed such directories and those that hold them; null for any
 * @throws OpencodeToolsError `OCT_POLICY_DENIED`
 */
export function assertMountable(path: string, allowed: readonly string[] | null): void {
  if (allowed === null || allowed.some((directory) => isWithin(path, directory))) return;
  throw new OpencodeToolsError('OCT_POLICY_DENIED', `No task may mount ${path}`, {
    remedy: 'Name a directory in mounts.allow of your own opencode-tools.yaml, or use a volume workspace.',
    details: { path, key: 'mounts.allow' },
  });
}
