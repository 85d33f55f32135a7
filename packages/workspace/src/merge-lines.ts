import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { GitRunner } from './git-runner.ts';
import { type StoreLayout, createLayout, temporaryPath } from './store-files.ts';

/** Up to so many bytes of each version. */
export const mostMergedBytes = 4 * 1024 * 1024;

export interface Versions {
  readonly ours: Uint8Array;
  readonly base: Uint8Array;
  readonly theirs: Uint8Array;
}

/**
 * Merges two versions of a file line by line, by copies in a directory of the store in which git finds no repository.
 *
 * @returns undefined when changes touch each other, or a version is binary
 */
export async function mergeLines(
  git: GitRunner,
  layout: StoreLayout,
  versions: Versions,
  signal: AbortSignal | undefined,
): Promise<Buffer | undefined> {
  await createLayout(layout);
  const cwd = temporaryPath(layout, 'merge');
  await mkdir(cwd, { mode: 0o700 });
  try {
    for (const name of ['ours', 'base', 'theirs'] as const) await writeFile(join(cwd, name), versions[name]);
    const environment = { GIT_CEILING_DIRECTORIES: dirname(cwd) };
    const args = ['merge-file', '--stdout', '--quiet', 'ours', 'base', 'theirs'];
    const { code, stdout } = await git.try(args, { cwd, environment, signal });
    return code === 0 ? stdout : undefined;
  } finally {
    await rm(cwd, { recursive: true, force: true });
  }
}
