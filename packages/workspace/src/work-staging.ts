import {
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { type BytePath, toFs, toText } from './byte-path.ts';
import { errnoOf, invalid } from './failures.ts';
import { type FileShape, hasShape } from './file-shape.ts';
import { findNode } from './scan-directory.ts';
import type { WorkStep } from './work-steps.ts';

/** A directory of the user, and the place in it where files wait for their turn. */
export interface Staging {
  readonly root: BytePath;
  readonly name: string;
}

export const stagingPrefix = '.opencode-tools-apply-';

export function makeStaging({ root, name }: Staging): void {
  mkdirSync(toFs(`${root}/${name}`), { mode: 0o700 });
}

export function removeStaging({ root, name }: Staging): void {
  rmSync(toFs(`${root}/${name}`), { recursive: true, force: true });
}

interface ReadyFile {
  readonly number: number;
  readonly shape: FileShape;
  /** A mode: whoever but the owner may not read by it may not do so afterwards. */
  readonly widest: number;
}

/** Writes a file that a later step puts in its place, owned like the directory it comes into. */
export function makeReady(
  { root, name }: Staging,
  { number, shape, widest }: ReadyFile,
  chunks: Iterable<Uint8Array>,
): void {
  const at = toFs(`${root}/${name}/new-${number}`);
  const file = openSync(at, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    for (const chunk of chunks) for (let from = 0; from < chunk.length;) from += writeSync(file, chunk, from);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  give(root, at);
  const readable = 0o444 & (widest | 0o400);
  chmodSync(at, 0o200 | readable | (shape.executable ? readable >> 2 : 0));
}

/** What root makes in a directory of a user is the user's. */
function give(root: BytePath, at: string | Buffer): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = lstatSync(toFs(root));
  lchownSync(at, uid, gid);
}

/** @throws OpencodeToolsError, or the error of a system call, when something is otherwise than it was when this was planned */
export function doStep({ root, name }: Staging, step: WorkStep): void {
  const at = toFs(`${root}/${step.path}`);
  if (step.does === 'make-directory') {
    mkdirSync(at, { mode: 0o755 });
    return give(root, at);
  }
  if (step.does === 'remove-directory') return removeDirectory(at, step.ifEmpty);
  if (step.does === 'take') {
    renameSync(at, toFs(`${root}/${name}/old-${step.number}`));
    if (!hasShape(root, `${name}/old-${step.number}`, step.shape))
      throw invalid(`Changed while work was brought in: ${toText(step.path)}`, 'Nothing was applied; try again.');
    return;
  }
  if (step.shape.type === 'symlink') {
    symlinkSync(toFs(step.shape.target), at);
    return give(root, at);
  }
  const ready = toFs(`${root}/${name}/new-${step.number}`);
  try {
    // Unlike a rename, it replaces nothing that came there meanwhile.
    linkSync(ready, at);
  } catch (error) {
    const unable = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(errnoOf(error) ?? '');
    if (!unable || findNode(root, step.path) !== undefined) throw error;
    renameSync(ready, at);
  }
}

/**
 * Takes a step back if it was done. What somebody changed since stays as it is.
 *
 * @returns false when it stays
 */
export function undoStep(staging: Staging, step: WorkStep): boolean {
  const { root, name } = staging;
  const at = toFs(`${root}/${step.path}`);
  const stands = findNode(root, step.path);
  if (step.does === 'make-directory') {
    if (stands?.type === 'directory') removeDirectory(at, true);
    return true;
  }
  if (step.does === 'remove-directory') {
    if (stands !== undefined) return true;
    mkdirSync(at);
    chmodSync(at, step.mode);
    return true;
  }
  if (step.does === 'take') {
    const old = `${name}/old-${step.number}`;
    if (findNode(root, old) === undefined) return true;
    if (stands !== undefined) return false;
    renameSync(toFs(`${root}/${old}`), at);
    return true;
  }
  if (stands === undefined || !isOurs(staging, step, stands.identity)) return true;
  if (!hasShape(root, step.path, step.shape)) return false;
  unlinkSync(at);
  return true;
}

/** A file that is still ready under its number came to its name as a second name of it. */
function isOurs({ root, name }: Staging, step: WorkStep & { readonly does: 'put' }, identity: string): boolean {
  if (step.shape.type === 'symlink') return hasShape(root, step.path, step.shape);
  const ready = findNode(root, `${name}/new-${step.number}`);
  return ready === undefined ? hasShape(root, step.path, step.shape) : ready.identity === identity;
}

function removeDirectory(at: string | Buffer, ifEmpty: boolean): void {
  try {
    rmdirSync(at);
  } catch (error) {
    const stays = ifEmpty && ['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(errnoOf(error) ?? '');
    if (!stays) throw error;
  }
}
