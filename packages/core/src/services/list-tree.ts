import type { Task } from '../domain/task.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { SandboxHandle } from '../ports/sandbox-runtime.ts';
import type { Kernel } from './kernel.ts';

const limitMs = 30_000;
const maxBytes = 64 * 1024 ** 2;
/** Type, mode, owner, group, size, inode and time of the last change of anything; the last cannot be set by who owns a file. */
const format = String.raw`%P\0%y %m %U %G %s %i %C@\0`;

/** Path relative to the workspace → what is true of it. */
export type TreeListing = ReadonlyMap<string, string>;

/**
 * Lists the workspace from inside its sandbox with the image's `find`, which the agent's user cannot replace. Undefined when
 * the image has none that can print.
 *
 * @throws OpencodeToolsError `OCT_RESOURCE_LIMIT` past 64 MiB of listing, `OCT_TIMEOUT` past 30 s
 */
export async function listTree(
  kernel: Kernel,
  handle: SandboxHandle,
  task: Task,
  token: number,
): Promise<TreeListing | undefined> {
  const chunks: Uint8Array[] = [];
  const tooMuch = new AbortController();
  let bytes = 0;
  const outcome = await handle.exec({
    executionId: kernel.deps.ids.next('execution'),
    token,
    command: {
      kind: 'argv',
      argv: ['/usr/bin/find', '.', '-mindepth', '1', '-path', './.git', '-prune', '-o', '-printf', format],
    },
    cwd: task.workspace.path,
    env: {},
    timeoutMs: limitMs,
    onStdout: (chunk) => {
      bytes += chunk.length;
      if (bytes > maxBytes) tooMuch.abort();
      else chunks.push(chunk);
    },
    onStderr: () => undefined,
    signal: tooMuch.signal,
  });
  if (tooMuch.signal.aborted)
    throw new OpencodeToolsError('OCT_RESOURCE_LIMIT', `The listing of the workspace is larger than ${maxBytes} bytes`);
  if (outcome.reason === 'timeout')
    throw new OpencodeToolsError('OCT_TIMEOUT', `Listing the workspace took longer than ${limitMs} ms`);
  if (outcome.exitCode !== 0 && bytes === 0) return undefined;
  return parseListing(Buffer.concat(chunks).toString('utf8'));
}

/** A directory's size and time change with what is in it, which is listed itself. */
function parseListing(text: string): TreeListing {
  const fields = text.split('\0');
  const listing = new Map<string, string>();
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const facts = fields[index + 1] ?? '';
    listing.set(fields[index] ?? '', facts.startsWith('d ') ? facts.split(' ', 4).join(' ') : facts);
  }
  return listing;
}

export function changedPaths(before: TreeListing, after: TreeListing): readonly string[] {
  const changed: string[] = [];
  for (const [path, facts] of after) if (before.get(path) !== facts) changed.push(path);
  for (const path of before.keys()) if (!after.has(path)) changed.push(path);
  return changed.toSorted();
}
