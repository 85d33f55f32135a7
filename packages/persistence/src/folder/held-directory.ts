import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, realpath, rename, rmdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import { OpencodeToolsError } from '@opencode-tools/core';
import { errnoOf } from '../home/home-file.ts';

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_DIRECTORY, O_NONBLOCK } = constants;

/**
 * A directory that stays the same one whatever is put in its place: names below it are reached through its descriptor, and no
 * symbolic link among them is followed. Where descriptors are no paths, through its real path.
 */
export class HeldDirectory {
  /** For messages. */
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #reach: string;

  private constructor(shown: string, handle: FileHandle) {
    this.path = shown;
    this.#handle = handle;
    this.#reach = process.platform === 'linux' ? `/proc/self/fd/${handle.fd}` : shown;
  }

  /**
   * Opens a directory that the caller named; links on the way to it are the caller's.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` unless it is a directory that may be read
   */
  static async open(named: string): Promise<HeldDirectory> {
    try {
      const real = await realpath(named);
      return new HeldDirectory(real, await open(real, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    } catch (cause) {
      throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `${JSON.stringify(named)} is no directory to read`, {
        remedy: 'Name the folder of a repository.',
        details: { argument: 'directory', path: named },
        cause,
      });
    }
  }

  /** The directory of this name, or undefined. @throws OpencodeToolsError `OCT_PATH_OUTSIDE_WORKSPACE` for a link */
  async find(name: string): Promise<HeldDirectory | undefined> {
    try {
      return new HeldDirectory(
        path.join(this.path, name),
        await open(this.#at(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
      );
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      if (errnoOf(error) === 'ENOTDIR' || errnoOf(error) === 'ELOOP')
        throw noDirectory(path.join(this.path, name), error);
      throw error;
    }
  }

  /** Makes a directory, or opens the one that somebody else has just made. */
  async make(name: string): Promise<HeldDirectory> {
    await mkdir(this.#at(name), { mode: 0o755 }).catch((error: unknown) => {
      if (errnoOf(error) !== 'EEXIST') throw error;
    });
    const made = await this.find(name);
    if (made === undefined) throw new Error(`${path.join(this.path, name)} vanished`);
    await made.#giveTo(this);
    return made;
  }

  async names(): Promise<readonly string[]> {
    return (await readdir(this.#reach)).toSorted();
  }

  /** Something besides files of these names, or undefined. */
  async alien(files: readonly string[]): Promise<string | undefined> {
    const entries = await readdir(this.#reach, { withFileTypes: true });
    return entries.find((entry) => !files.includes(entry.name) || entry.isDirectory())?.name;
  }

  /** Opens a new file to write; whoever owns the directory owns it. */
  async create(name: string): Promise<FileHandle> {
    const file = await open(this.#at(name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644);
    const { uid, gid } = await this.#handle.stat();
    if (isRoot()) await file.chown(uid, gid);
    return file;
  }

  /** Reads a regular file of at most so many bytes; undefined when there is none. */
  async read(name: string, mostBytes: number): Promise<Buffer | undefined> {
    let file: FileHandle;
    try {
      file = await open(this.#at(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      if (errnoOf(error) === 'ELOOP') throw noDirectory(path.join(this.path, name), error);
      throw error;
    }
    try {
      const facts = await file.stat();
      if (!facts.isFile()) return undefined;
      if (facts.size > mostBytes) throw tooLarge(path.join(this.path, name), facts.size, mostBytes);
      return await file.readFile();
    } finally {
      await file.close();
    }
  }

  /** @returns false when there is nothing of the first name, or something in the way */
  async move(from: string, to: string): Promise<boolean> {
    try {
      await rename(this.#at(from), this.#at(to));
      return true;
    } catch (error) {
      if (['ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return false;
      throw error;
    }
  }

  /** Removes a directory with the files of these names; one with others in it stays. */
  async remove(name: string, files: readonly string[]): Promise<void> {
    const inside = await this.find(name);
    if (inside === undefined) return;
    try {
      for (const file of files) {
        await unlink(inside.#at(file)).catch((error: unknown) => {
          if (errnoOf(error) !== 'ENOENT') throw error;
        });
      }
    } finally {
      await inside.close();
    }
    await rmdir(this.#at(name)).catch((error: unknown) => {
      if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(errnoOf(error) ?? '')) throw error;
    });
  }

  async flush(): Promise<void> {
    await this.#handle.sync().catch(() => undefined);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #giveTo(owner: HeldDirectory): Promise<void> {
    if (!isRoot()) return;
    const { uid, gid } = await owner.#handle.stat();
    await this.#handle.chown(uid, gid);
  }

  #at(name: string): string {
    return `${this.#reach}/${name}`;
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

function noDirectory(shown: string, cause: unknown): OpencodeToolsError {
  return new OpencodeToolsError('OCT_PATH_OUTSIDE_WORKSPACE', `${shown} is a link, or no directory`, {
    remedy: 'Remove it, or name another folder: nothing is written or read through a link.',
    details: { path: shown },
    cause,
  });
}

function tooLarge(shown: string, bytes: number, most: number): OpencodeToolsError {
  return new OpencodeToolsError('OCT_RESOURCE_LIMIT', `${shown} has ${bytes} bytes; ${most} are read at most`, {
    remedy: 'Take a ledger of this size in with `opencode-tools ledger import`.',
    details: { path: shown, bytes },
  });
}
