import {
  closeSync,
  fstatSync,
  openSync,
  read,
  readSync,
  readlinkSync,
  symlinkSync,
  writeFile,
  writeFileSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { type BytePath, parentOf, toFs, toText } from './byte-path.ts';
import { storeFailure, throwIfCancelled, treeFailure } from './failures.ts';
import { inUnfollowed, openUnfollowed } from './open-unfollowed.ts';
import type { DiskNode } from './scan-directory.ts';
import { changed } from './store-contents.ts';

/** What is not larger is read and written faster than others would get their turn. */
const smallBytes = 128 * 1024;
const pieceBytes = 1024 ** 2;
const [readPiece, writePiece] = [promisify(read), promisify(writeFile)];

/**
 * Copies the bytes of a file that is as it was found, by descriptors, so that neither a filter runs nor anything else is opened. A large
 * one is copied in pieces, beside other work.
 *
 * @param from real path
 * @param to path in a directory of ours, where nothing is yet
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for a file that is not the one that was found, or has another size; `OCT_CANCELLED`;
 *   what `storeFailure` says when the copy cannot be written
 */
export async function copyFile(from: BytePath, to: BytePath, node: DiskNode, signal?: AbortSignal): Promise<void> {
  const source = await reading(from, () => openUnfollowed(from));
  try {
    await reading(from, () => assertFound(source, from, node));
    const copy = await writing(to, () => openSync(toFs(to), 'wx', 0o600));
    try {
      await copyBytes({ source, from }, { copy, to }, node.size, signal);
    } finally {
      closeSync(copy);
    }
  } finally {
    closeSync(source);
  }
}

/**
 * Copies a link that is as it was found, and lies where its path says.
 *
 * @throws as `copyFile`
 */
export async function copyLink(from: BytePath, to: BytePath, { target }: DiskNode): Promise<void> {
  const name = from.slice(from.lastIndexOf('/') + 1);
  const now = await reading(from, () =>
    inUnfollowed(parentOf(from), (parent) => readlinkSync(toFs(`${parent}/${name}`), { encoding: 'latin1' })),
  );
  if (now !== target) throw changed(from);
  await writing(to, () => symlinkSync(toFs(target), toFs(to)));
}

async function copyBytes(
  { source, from }: { readonly source: number; readonly from: BytePath },
  { copy, to }: { readonly copy: number; readonly to: BytePath },
  size: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const isSmall = size <= smallBytes;
  const buffer = Buffer.allocUnsafe(Math.min(size, pieceBytes));
  for (let left = size; left > 0;) {
    throwIfCancelled(signal);
    const most = Math.min(left, buffer.length);
    const count = await reading(from, async () =>
      isSmall ? readSync(source, buffer, 0, most, null) : (await readPiece(source, buffer, 0, most, null)).bytesRead,
    );
    if (count === 0) throw changed(from);
    const piece = buffer.subarray(0, count);
    await writing(to, () => (isSmall ? writeFileSync(copy, piece) : writePiece(copy, piece)));
    left -= count;
  }
}

/** A pipe would be waited for. */
function assertFound(file: number, path: BytePath, { identity, size }: DiskNode): void {
  const facts = fstatSync(file, { bigint: true });
  if (!facts.isFile() || `${facts.dev}:${facts.ino}` !== identity || facts.size !== BigInt(size)) throw changed(path);
}

async function reading<T>(path: BytePath, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw treeFailure(path, error);
  }
}

/** Does what changes a directory of ours. @throws what `storeFailure` says */
export async function writing<T>(path: BytePath, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storeFailure(toText(parentOf(path)), error);
  }
}
