import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  rmdirSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import type { AppliedWork, ApplyWork } from '@opencode-tools/core';
import type { BlobReader } from './blob-reader.ts';
import { type BytePath, parentOf, toBytePath, toFs, toText } from './byte-path.ts';
import { errnoOf } from './failures.ts';
import { type WorkChange, kindOf, modeOf, reviewWork } from './review-work.ts';
import { findNode } from './scan-directory.ts';
import type { TreeEntry } from './tree-entry.ts';

/** What is to be done about one path. */
type Step = 'change' | 'present' | { readonly conflict: string };

/** Decides every path first; changes nothing unless all of them can be done and no tripwire is left. */
export function applyWork(work: ApplyWork, changes: readonly WorkChange[], blobs: BlobReader): AppliedWork {
  const root = toBytePath(work.directory);
  const review = reviewWork(changes, blobs);
  const accepted = new Set(work.accept);
  const refused = review.tripwires.filter(({ path }) => !accepted.has(path));
  const becoming = new Set(changes.filter(({ after }) => after?.type === 'directory').map(({ path }) => path));
  const steps = changes.map((change) => ({ change, step: decide(root, change, becoming) }));
  const todo = steps.filter(({ step }) => step === 'change').map(({ change }) => change);
  const conflicts = steps.flatMap(({ change, step }) =>
    typeof step === 'string' ? [] : [{ path: toText(change.path), reason: step.conflict }],
  );
  const possible = conflicts.length === 0 && refused.length === 0 && !work.dryRun;
  if (possible && todo.length > 0) carryOut(root, todo, blobs);
  const present = steps.filter(({ step }) => step === 'present').map(({ change }) => toText(change.path));
  const changed = todo.map(({ path }) => toText(path));
  return { ...review, applied: possible, changed, present, conflicts, refused };
}

/** @param becoming what is to be a directory afterwards */
function decide(root: BytePath, { path, before, after }: WorkChange, becoming: ReadonlySet<BytePath>): Step {
  if (/(^|\/)\.git(\/|$)/i.test(path)) return { conflict: 'nothing is written into a .git' };
  const link = linkAbove(root, path, becoming);
  if (link !== undefined && after === undefined) return 'present';
  if (link !== undefined) return { conflict: `${toText(link)} is no directory here` };
  if (is(root, path, after)) return 'present';
  if (is(root, path, before)) return 'change';
  if (before === undefined) return { conflict: 'exists here with other content' };
  return { conflict: after === undefined ? 'removed in the task, changed here' : 'changed in the task and here' };
}

/** A parent that is there and is not a directory. */
function linkAbove(root: BytePath, path: BytePath, becoming: ReadonlySet<BytePath>): BytePath | undefined {
  for (let at = parentOf(path); at !== ''; at = parentOf(at)) {
    const node = findNode(root, at);
    if (node !== undefined && node.type !== 'directory' && !becoming.has(at)) return at;
  }
  return undefined;
}

function is(root: BytePath, path: BytePath, entry: TreeEntry | undefined): boolean {
  const node = findNode(root, path);
  if (node === undefined || entry === undefined) return node === undefined && entry === undefined;
  if (node.type !== kindOf(entry)) return false;
  if (node.type === 'directory') return true;
  if (node.type === 'symlink') return node.target === entry.target;
  const executable = (node.mode & 0o100) !== 0;
  return (
    node.size === entry.size &&
    executable === ((entry.mode & 0o100) !== 0) &&
    digest(`${root}/${path}`) === entry.digest
  );
}

function digest(path: BytePath): string {
  const file = openSync(toFs(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!fstatSync(file).isFile()) return '';
    const sum = createHash('sha256');
    const buffer = Buffer.allocUnsafe(1024 ** 2);
    for (let length = readSync(file, buffer); length > 0; length = readSync(file, buffer))
      sum.update(buffer.subarray(0, length));
    return sum.digest('hex');
  } finally {
    closeSync(file);
  }
}

/** New files are made beside the old ones first; then each is put in its place, what was there kept until all are. */
function carryOut(root: BytePath, todo: readonly WorkChange[], blobs: BlobReader): void {
  const staging = `${root}/.opencode-tools-apply-${randomBytes(9).toString('hex')}`;
  const undo: (() => void)[] = [];
  mkdirSync(toFs(staging), { mode: 0o700 });
  try {
    for (const [index, { after }] of todo.entries())
      if (after !== undefined) make(`${staging}/new-${index}`, after, blobs);
    const removals = todo.filter(({ after }) => after === undefined).toReversed();
    for (const change of [...removals, ...todo.filter(({ after }) => after !== undefined)])
      replace(root, staging, todo.indexOf(change), change, undo);
  } catch (error) {
    for (const step of undo.toReversed()) step();
    throw error;
  } finally {
    rmSync(toFs(staging), { recursive: true, force: true });
  }
}

function make(at: BytePath, entry: TreeEntry, blobs: BlobReader): void {
  if (entry.type === 'symlink') return symlinkSync(toFs(entry.target), toFs(at));
  if (entry.type === 'directory') return mkdirSync(toFs(at), { mode: 0o755 });
  const file = openSync(toFs(at), constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    if (entry.size > 0)
      for (const chunk of blobs.chunks(entry))
        for (let from = 0; from < chunk.length;) from += writeSync(file, chunk, from);
  } finally {
    closeSync(file);
  }
  chmodSync(toFs(at), modeOf(entry) & 0o777);
}

function replace(
  root: BytePath,
  staging: BytePath,
  index: number,
  { path, before, after }: WorkChange,
  undo: (() => void)[],
): void {
  const at = toFs(`${root}/${path}`);
  if (after === undefined && before !== undefined && kindOf(before) === 'directory') return removeEmpty(at, undo);
  makeParents(root, parentOf(path), undo);
  if (!is(root, path, before)) throw new Error(`Changed meanwhile: ${toText(path)}`);
  if (before !== undefined && kindOf(before) === 'directory') {
    rmdirSync(at);
    undo.push(() => mkdirSync(at));
  } else if (before !== undefined) {
    const kept = toFs(`${staging}/old-${index}`);
    renameSync(at, kept);
    undo.push(() => renameSync(kept, at));
  }
  if (after === undefined) return;
  const made = toFs(`${staging}/new-${index}`);
  renameSync(made, at);
  undo.push(() => renameSync(at, made));
}

/** A directory that the user has files of their own in stays. */
function removeEmpty(at: string | Buffer, undo: (() => void)[]): void {
  try {
    rmdirSync(at);
    undo.push(() => mkdirSync(at));
  } catch (error) {
    if (errnoOf(error) !== 'ENOTEMPTY' && errnoOf(error) !== 'ENOENT') throw error;
  }
}

function makeParents(root: BytePath, directory: BytePath, undo: (() => void)[]): void {
  if (directory === '') return;
  makeParents(root, parentOf(directory), undo);
  const node = findNode(root, directory);
  if (node?.type === 'directory') return;
  if (node !== undefined) throw new Error(`No directory any more: ${toText(directory)}`);
  const at = toFs(`${root}/${directory}`);
  mkdirSync(at, { mode: 0o755 });
  undo.push(() => rmdirSync(at));
}
