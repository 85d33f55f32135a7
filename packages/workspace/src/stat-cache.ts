import { hash } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BytePath } from './byte-path.ts';
import type { DiskNode } from './scan-directory.ts';
import { type StoreLayout, temporaryPath } from './store-files.ts';

/** A file changed less than this before the scan may change again without a new time stamp, so it is not trusted. */
const settleNs = 100_000_000n;
const separator = '\0';

/** A digest known for a path, if the file still looks the same. */
export interface StatCache {
  find(node: DiskNode): string | undefined;
}

/**
 * Reads what the last scan of a directory learned. A missing, foreign or damaged cache is an empty one.
 *
 * @param root real path of the directory
 */
export async function loadStatCache(layout: StoreLayout, root: BytePath): Promise<StatCache> {
  const file = await readFile(pathOf(layout, root)).catch(() => undefined);
  const known = new Map<BytePath, string>();
  if (file !== undefined && hash('sha256', file.subarray(64), 'hex') === file.toString('latin1', 0, 64)) {
    const fields = file.toString('latin1', 64).split(separator);
    for (let index = 0; index + 1 < fields.length; index += 2) known.set(fields[index] ?? '', fields[index + 1] ?? '');
  }
  return {
    find: ({ path, signature }) => {
      const value = known.get(path);
      return value !== undefined && value.length === signature.length + 64 && value.endsWith(signature)
        ? value.slice(0, 64)
        : undefined;
    },
  };
}

/**
 * Keeps the digests of files for the next scan. Lost after a crash without harm.
 *
 * @param scanStartedNs files changed at or shortly before this time are left out
 */
export async function saveStatCache(
  layout: StoreLayout,
  root: BytePath,
  digests: Iterable<readonly [node: DiskNode, digest: string]>,
  scanStartedNs: bigint,
): Promise<void> {
  const parts: string[] = [];
  for (const [{ path, signature, changedNs }, digest] of digests) {
    if (changedNs < scanStartedNs - settleNs) parts.push(path, separator, digest, signature, separator);
  }
  const body = Buffer.from(parts.join(''), 'latin1');
  const temporary = temporaryPath(layout, 'stat');
  try {
    await writeFile(temporary, [Buffer.from(hash('sha256', body, 'hex'), 'latin1'), body], { mode: 0o600 });
    await rename(temporary, pathOf(layout, root));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function pathOf(layout: StoreLayout, root: BytePath): string {
  return join(layout.statCaches, `${hash('sha256', Buffer.from(root, 'latin1'), 'hex').slice(0, 40)}.cache`);
}
