import { hash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, mkdir, readdir, rename, rm, stat, statfs, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { GitRunner } from './git-runner.ts';
import type { UserRepository } from './user-repository.ts';

/** A look at fewer files takes little anyway. */
const leastIndexBytes = 256 * 1024;
const rememberedMs = 7 * 24 * 60 * 60_000;
/** File systems that date a directory whenever a name in it comes or goes: ext, XFS, Btrfs, F2FS, ZFS, tmpfs. */
const datesDirectories: ReadonlySet<number> = new Set([
  0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x2fc1_2fc1, 0x0102_1994,
]);
/** More than what a file system's clock is behind at most. */
const tickMs = 20;
const settings = ['core.untrackedCache=true', 'core.splitIndex=false'];

/**
 * Copies of the indexes of large work trees, in which git notes which directories had no file that it does not know: to look at a work tree again
 * then takes a fraction of the time. The index of the user is only read.
 */
export class RememberedLooks {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Whether all is as in HEAD and index, with no other file but ignored ones.
   *
   * @param config as for `git status`
   * @returns false where that is not certain; then it has to be looked at as if nothing was known
   */
  async isClean(repository: UserRepository, config: readonly string[]): Promise<boolean> {
    try {
      const copy = await this.#copyOf(repository);
      if (copy === undefined) return false;
      return await isEmptyStatus(repository.runner, repository.place, copy, config).catch(async (error: unknown) => {
        await rm(copy, { force: true });
        throw error;
      });
    } catch {
      return false;
    }
  }

  /** A copy of the index as it is now; undefined where it is not worth it or git's notes could not be trusted. */
  async #copyOf({ place, gitDirectory }: UserRepository): Promise<string | undefined> {
    const index = join(gitDirectory, 'index');
    const [facts, { type }] = await Promise.all([stat(index, { bigint: true }), statfs(place)]);
    if (facts.size < leastIndexBytes || !datesDirectories.has(type)) return undefined;
    const { dev, ino, size, mtimeNs, ctimeNs } = facts;
    const of = hash('sha256', `${place}\0${gitDirectory}`).slice(0, 32);
    const name = `${of}-${hash('sha256', [dev, ino, size, mtimeNs, ctimeNs].join(' ')).slice(0, 16)}`;
    const copy = join(this.#directory, name);
    if ((await stat(copy).catch(() => undefined)) === undefined) {
      await this.#make(index, copy, facts);
      await this.#forget((other, madeMs) =>
        other.startsWith(of) ? !other.startsWith(name) : madeMs < Date.now() - rememberedMs,
      );
    }
    return copy;
  }

  async #make(
    index: string,
    copy: string,
    { mtimeNs, ctimeNs }: { readonly mtimeNs: bigint; readonly ctimeNs: bigint },
  ) {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const temporary = `${copy}.${randomBytes(6).toString('hex')}`;
    try {
      await copyFile(index, temporary, constants.COPYFILE_FICLONE);
      // Git reads again what was written as late as its index, so a copy may look no later; it is not rounded up here.
      const seconds = (Number(mtimeNs / 1000n) - 1) / 1e6;
      await utimes(temporary, seconds, seconds);
      if ((await stat(index, { bigint: true })).ctimeNs !== ctimeNs) throw new Error('The index was written meanwhile');
      await rename(temporary, copy);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  /** Removes copies that are of no use any more; a look that is at one says then that nothing is certain. */
  async #forget(isUseless: (name: string, madeMs: number) => boolean): Promise<void> {
    for (const name of await readdir(this.#directory)) {
      const path = join(this.#directory, name);
      const { ctimeMs } = await stat(path).catch(() => ({ ctimeMs: Date.now() }));
      if (isUseless(name, ctimeMs)) await rm(path, { force: true });
    }
  }
}

async function isEmptyStatus(git: GitRunner, cwd: string, copy: string, config: readonly string[]): Promise<boolean> {
  const args = [
    'status',
    '--porcelain=v1',
    '-z',
    '--untracked-files=normal',
    '--ignore-submodules=all',
    '--no-renames',
  ];
  // It writes its notes into the copy.
  const environment = { GIT_INDEX_FILE: copy, GIT_OPTIONAL_LOCKS: '1' };
  const call = { cwd, config: [...config, ...settings], environment, timeoutMs: 300_000 };
  const [begunMs, before] = [Date.now(), await stat(copy)];
  const said = await git.run(args, call);
  // Git looks again into a directory that was changed as late as its notes: also into one that was while it took them.
  if ((await stat(copy)).ino !== before.ino) await utimes(copy, (begunMs - tickMs) / 1000, (begunMs - tickMs) / 1000);
  return said.length === 0;
}
