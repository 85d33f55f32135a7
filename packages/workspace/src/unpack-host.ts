import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, readdir, rename, rm, symlink, unlink } from 'node:fs/promises';
import { posix } from 'node:path';
import type { ByteStream, UnpackReport } from '@opencode-tools/core';
import { type BytePath, canonicalPath, parentOf, toBytePath, toFs, toText } from './byte-path.ts';
import { errnoOf, invalid, storeFailure } from './failures.ts';
import type { Content } from './byte-source.ts';
import { hasDescriptors } from './open-unfollowed.ts';
import { readTar } from './tar-reader.ts';
import type { TarMember } from './tar-member.ts';

const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const newFile = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

const prefix = '.opencode-tools-copying-';

/**
 * Unpacks a stream that may be hostile. Each directory on the way is opened one after the other, never through a symbolic
 * link, and what is written is named relative to the opened one (`/proc/self/fd`), so that whoever swaps directories for links
 * meanwhile gains nothing. Systems without `/proc` check the path instead.
 */
export async function unpackHost(
  tar: ByteStream,
  directory: string,
  name: string,
  signal?: AbortSignal,
): Promise<UnpackReport> {
  const made = new Tree(directory);
  const skipped: { path: string; reason: string }[] = [];
  let [files, sizeBytes] = [0, 0];
  try {
    for await (const [member, content] of readTar(tar)) {
      signal?.throwIfAborted();
      const path = renamed(member.name, name);
      const reason = reasonToSkip(member, path);
      if (reason !== undefined) skipped.push({ path: toText(path), reason });
      else if (member.type === 'directory') await made.directory(path, member);
      else if (member.type === 'symlink') await made.symlink(path, member);
      else if (member.type === 'link') await made.link(path, renamed(member.target, name));
      else sizeBytes += await made.file(path, member, content);
      if (member.type === 'file') files += 1;
    }
    await made.finish();
    return { files, sizeBytes, skipped };
  } catch (error) {
    throw errnoOf(error) === undefined ? error : storeFailure(directory, error);
  } finally {
    await made.close();
  }
}

function renamed(member: BytePath, name: string): BytePath {
  const [, ...rest] = canonicalPath(member).split('/');
  return [toBytePath(name), ...rest].join('/');
}

/** A link that leads out of the copied tree would make the next tool that follows it leave as well. */
function reasonToSkip({ type, target }: TarMember, path: BytePath): string | undefined {
  if (type === 'other') return 'neither file, directory nor link';
  if (type !== 'symlink') return undefined;
  const top = path.split('/')[0] ?? '';
  const end = posix.normalize(posix.join('/', parentOf(path), target));
  const climbs = posix.normalize(posix.join(parentOf(path), target));
  const inside = (climbs === top || climbs.startsWith(`${top}/`)) && end.startsWith('/');
  return target.startsWith('/') || !inside ? `a symbolic link that leaves the tree: ${toText(target)}` : undefined;
}

class Tree {
  readonly #root: string;
  readonly #useFd = hasDescriptors;
  readonly #later: { path: BytePath; mode: number; mtimeNs: bigint }[] = [];
  readonly #temporary = `${prefix}${process.pid}-${randomBytes(8).toString('hex')}`;
  #isTidy = false;
  #open: { readonly path: BytePath; readonly handle: FileHandle }[] = [];

  constructor(root: string) {
    this.#root = root;
  }

  async directory(path: BytePath, { mode, mtimeNs }: TarMember): Promise<void> {
    await mkdir(await this.#at(path), { mode: 0o700 }).catch(async (error: unknown) => {
      if (errnoOf(error) !== 'EEXIST' || !(await lstat(await this.#at(path))).isDirectory()) throw inTheWay(path);
    });
    this.#later.push({ path, mode: mode & 0o777, mtimeNs });
  }

  async symlink(path: BytePath, { target }: TarMember): Promise<void> {
    await this.#place(path, async (temporary) => symlink(toFs(target), temporary));
  }

  async link(path: BytePath, target: BytePath): Promise<void> {
    // The directory of the other name stays open beside those that are entered for this one.
    const { fd } = await this.#enter(parentOf(target));
    const directory = await open(this.#useFd ? `/proc/self/fd/${fd}/.` : this.#root, directoryFlags);
    try {
      const name = this.#useFd ? target.slice(target.lastIndexOf('/') + 1) : target;
      const from = toFs(`${this.#useFd ? `/proc/self/fd/${directory.fd}` : toBytePath(this.#root)}/${name}`);
      if (!(await lstat(from)).isFile()) throw inTheWay(target);
      await this.#place(path, async (temporary) => link(from, temporary));
    } finally {
      await directory.close();
    }
  }

  async file(path: BytePath, { mode, mtimeNs }: TarMember, content: Content): Promise<number> {
    let bytes = 0;
    await this.#place(path, async (temporary) => {
      const file = await open(temporary, newFile, 0o600);
      try {
        for (let piece = await content.next(); piece !== undefined; piece = await content.next()) {
          await file.writeFile(piece);
          bytes += piece.length;
        }
        await file.chmod(mode & 0o777);
        await file.utimes(Number(mtimeNs) / 1e9, Number(mtimeNs) / 1e9);
      } finally {
        await file.close();
      }
    });
    return bytes;
  }

  /** Directories get their modes and times last, from the innermost. */
  async finish(): Promise<void> {
    for (const { path, mode, mtimeNs } of this.#later.toReversed()) {
      const handle = await open(await this.#at(path), directoryFlags);
      try {
        await handle.chmod(mode);
        await handle.utimes(Number(mtimeNs) / 1e9, Number(mtimeNs) / 1e9);
      } finally {
        await handle.close();
      }
    }
  }

  async close(): Promise<void> {
    for (const { handle } of this.#open.splice(0)) await handle.close();
  }

  /** What a member replaces is there until the member is whole, and is replaced in one step. */
  async #place(path: BytePath, make: (temporary: string | Buffer) => Promise<void>): Promise<void> {
    const temporary = await this.#besides(path);
    try {
      await make(temporary);
      const at = await this.#at(path);
      if ((await lstat(at).catch(() => undefined))?.isDirectory() === true) throw inTheWay(path);
      await rename(temporary, at);
    } finally {
      // Two names of one file are both left by a rename.
      await rm(temporary, { force: true });
    }
  }

  /** Where a member is until it is whole: at the top, where what a process that is gone has left is found, or on its own mount. */
  async #besides(path: BytePath): Promise<string | Buffer> {
    const parent = await this.#enter(parentOf(path));
    const root = this.#open[0]?.handle ?? parent;
    const isApart = parent !== root && (await parent.stat()).dev !== (await root.stat()).dev;
    const [handle, below] = isApart ? [parent, `/${parentOf(path)}`] : [root, ''];
    const place = this.#useFd ? `/proc/self/fd/${handle.fd}` : `${toBytePath(this.#root)}${below}`;
    if (!this.#isTidy) await removeAbandoned(place);
    this.#isTidy = true;
    return toFs(`${place}/${this.#temporary}`);
  }

  /** A path whose parent is open and is what was opened. */
  async #at(path: BytePath): Promise<string | Buffer> {
    const parent = await this.#enter(parentOf(path));
    const name = path.slice(path.lastIndexOf('/') + 1);
    return toFs(`${this.#useFd ? `/proc/self/fd/${parent.fd}` : toBytePath(this.#root)}/${this.#useFd ? name : path}`);
  }

  async #enter(path: BytePath): Promise<FileHandle> {
    while (this.#open.length > 0) {
      const last = this.#open.at(-1);
      if (last === undefined || last.path === path) break;
      if (last.path === '' || path.startsWith(`${last.path}/`)) break;
      this.#open.pop();
      await last.handle.close();
    }
    const top = this.#open.at(-1);
    if (top?.path === path) return top.handle;
    if (top === undefined) {
      const handle = await open(this.#root, constants.O_RDONLY | constants.O_DIRECTORY);
      this.#open.push({ path: '', handle });
      return this.#enter(path);
    }
    const rest = top.path === '' ? path : path.slice(top.path.length + 1);
    const [name = ''] = rest.split('/');
    const next = top.path === '' ? name : `${top.path}/${name}`;
    const at = this.#useFd ? `/proc/self/fd/${top.handle.fd}/${name}` : `${toBytePath(this.#root)}/${next}`;
    const handle = await open(toFs(at), directoryFlags).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return this.#makeMissing(at);
      throw inTheWay(next);
    });
    this.#open.push({ path: next, handle });
    return this.#enter(path);
  }

  async #makeMissing(at: BytePath): Promise<FileHandle> {
    await mkdir(toFs(at), { mode: 0o755 });
    return open(toFs(at), directoryFlags);
  }
}

/** What we leave is a file or a link. A directory of such a name is somebody else's, and nothing of it is in the way. */
async function removeAbandoned(place: BytePath): Promise<void> {
  for (const name of await readdir(toFs(place))) {
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : 0;
    if (pid > 0 && !isAlive(pid)) await unlink(toFs(`${place}/${name}`)).catch(() => undefined);
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return errnoOf(error) !== 'ESRCH';
  }
}

function inTheWay(path: BytePath) {
  return invalid(`Something of another kind is in the way: ${toText(path)}`, 'Remove it, or copy to another place.', {
    path: toText(path),
  });
}
