import type { ByteStream } from '@opencode-tools/core';
import { toBytePath } from './byte-path.ts';
import { type FreezeDirectoryOptions, freezeDirectory } from './freeze-directory.ts';
import { freezeStream } from './freeze-volume.ts';
import { type TreeEntry, canonicalTree } from './tree-entry.ts';

/** Reads a directory of ours and a tar stream of further files into one tree, all with the same owner. */
export async function freezeBoth(
  directory: string,
  files: ByteStream,
  store: Parameters<typeof freezeDirectory>[1],
  options: Omit<FreezeDirectoryOptions, 'useStatCache'> & Required<Pick<FreezeDirectoryOptions, 'owner'>>,
): Promise<readonly TreeEntry[]> {
  const { uid, gid } = options.owner;
  const inside = await freezeDirectory(toBytePath(directory), store, { ...options, useStatCache: false });
  const streamed = await freezeStream(files, store, options);
  const top = streamed.filter(({ path }) => path !== '').map((entry) => ({ ...entry, uid, gid }));
  return canonicalTree([...inside, ...top]);
}
