import { chmodSync, lstatSync, mkdirSync, rmSync, utimesSync } from 'node:fs';
import { type BytePath, canonicalPath, parentOf, toBytePath, toFs, toText } from './byte-path.ts';
import { copyFile, copyLink, writing } from './copy-file.ts';
import { invalid } from './failures.ts';
import { type ChangedPath, listChanges } from './git-inspect.ts';
import { createPacer } from './pacer.ts';
import { type DiskNode, findNode, scanDirectory } from './scan-directory.ts';
import type { UserRepository } from './user-repository.ts';

/**
 * Brings uncommitted changes along: what is staged is staged, what is not is not, untracked files that are not ignored are
 * untracked. Files are copied byte by byte, so that no filter runs.
 *
 * @param from top directory of the source
 * @param to a clean checkout of its HEAD
 */
export async function carryChanges(
  { runner: git, place: cwd }: UserRepository,
  from: string,
  to: string,
  signal?: AbortSignal,
): Promise<void> {
  const changes = await listChanges(git, cwd);
  refuseUnmerged(changes, from);
  const args = [
    'diff',
    '--cached',
    '--binary',
    '--full-index',
    '--no-ext-diff',
    '--no-textconv',
    '--no-renames',
    'HEAD',
  ];
  const staged = await git.run(args, { cwd, signal });
  if (staged.length > 0)
    await git.run(['apply', '--cached', '--whitespace=nowarn', '-'], { cwd: to, input: staged, signal });
  const pacer = createPacer(signal);
  for (const { path } of changes) {
    await copyPath(toBytePath(from), toBytePath(to), canonicalPath(path), signal);
    if (pacer.due()) await pacer.rest();
  }
}

function refuseUnmerged(changes: readonly ChangedPath[], directory: string): void {
  const unmerged = changes.filter(
    ({ staged, unstaged }) => ['DD', 'AA'].includes(staged + unstaged) || (staged + unstaged).includes('U'),
  );
  if (unmerged.length === 0) return;
  const paths = unmerged.slice(0, 100).map(({ path }) => toText(path));
  throw invalid(
    `The repository at ${directory} is in the middle of a merge: ${paths.slice(0, 10).join(', ')}`,
    'Finish or abort the merge, or seed without uncommitted changes with `dirty: leave`.',
    { paths },
  );
}

async function copyPath(from: BytePath, to: BytePath, path: BytePath, signal: AbortSignal | undefined): Promise<void> {
  const node = findNode(from, path);
  await writing(`${to}/${path}`, () => rmSync(toFs(`${to}/${path}`), { recursive: true, force: true }));
  if (node === undefined) return;
  await writing(`${to}/${path}`, () => makeParents(to, path));
  const pacer = createPacer(signal);
  const below = node.type === 'directory' ? await scanDirectory(`${from}/${path}`, pacer) : [{ ...node, path: '' }];
  for (const child of below) {
    await copyNode(join(from, path, child.path), join(to, path, child.path), child, signal);
    if (pacer.due()) await pacer.rest();
  }
}

/**
 * Copies a file or a symbolic link as it was found, with the directories that it needs.
 *
 * @param from real path
 * @throws as `copyFile`
 */
export async function copyFound(from: BytePath, to: BytePath, node: DiskNode, signal?: AbortSignal): Promise<void> {
  const copy = `${to}/${node.path}`;
  await writing(copy, () => makeParents(to, node.path));
  await copyNode(`${from}/${node.path}`, copy, { ...node, mode: node.mode & 0o777 }, signal);
}

async function copyNode(from: BytePath, to: BytePath, node: DiskNode, signal: AbortSignal | undefined): Promise<void> {
  if (node.type === 'other') return;
  if (node.type === 'symlink') return copyLink(from, to, node);
  if (node.type === 'file') await copyFile(from, to, node, signal);
  await writing(to, () => {
    if (node.type === 'directory') mkdirSync(toFs(to), { mode: 0o700 });
    chmodSync(toFs(to), node.type === 'directory' ? node.mode | 0o700 : node.mode);
    const seconds = Number(node.mtimeNs) / 1e9;
    utimesSync(toFs(to), seconds, seconds);
  });
}

/** Makes missing parents, and puts directories where the checkout has a file or link that the source replaced. */
function makeParents(root: BytePath, path: BytePath): void {
  const parent = parentOf(path);
  if (parent === '') return;
  makeParents(root, parent);
  const full = toFs(`${root}/${parent}`);
  const facts = lstatSync(full, { throwIfNoEntry: false });
  if (facts?.isDirectory() === true) return;
  if (facts !== undefined) rmSync(full);
  mkdirSync(full);
}

function join(root: BytePath, path: BytePath, child: BytePath): BytePath {
  return child === '' ? `${root}/${path}` : `${root}/${path}/${child}`;
}
