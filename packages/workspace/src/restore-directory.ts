import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs';
import type { LeftOut } from '@opencode-tools/core';
import type { AttributeProgram } from './attributes/attribute-program.ts';
import { AttributeRestorer, needsAttributes } from './attributes/restore-attributes.ts';
import type { BlobReader } from './blob-reader.ts';
import { type BytePath, parentOf, toFs, toText } from './byte-path.ts';
import { digestFile } from './digest-file.ts';
import { type Environment, extractTar, findTarProgram, pipedMemory } from './extract-tar.ts';
import { invalid, shortPath } from './failures.ts';
import { type Pacer, createPacer } from './pacer.ts';
import { type RestorePlan, hasOtherOwner, planRestore } from './restore-plan.ts';
import { removeBelow } from './remove-below.ts';
import { type FoundName, isTooDeep, nodeAt } from './scan-directory.ts';
import { scanKnown } from './scan-known.ts';
import type { StatCache } from './stat-cache.ts';
import { leaveOutEqual } from './leave-out-equal.ts';
import type { TreePart } from './known-lines.ts';
import { stageTrees } from './stage-trees.ts';
import { writeTar } from './tar-stream.ts';
import { type TreeEntry, walkKey } from './tree-entry.ts';

/** From so many files on it is worth a process to know what the system's tar can. */
const manyFiles = 1_000;

export interface RestoreOptions {
  /** What is known of the directory from its last scan. */
  readonly cache: StatCache;
  readonly environment: Environment;
  /** Reads and sets extended attributes; without one they are left as they are. */
  readonly attributes?: AttributeProgram | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes a directory equal to a canonical tree. Files are extracted into a fresh directory inside it and renamed into
 * place; each parent is checked to be a directory, never a symbolic link, before anything in it changes.
 *
 * @param root real path of an existing directory
 */
export async function restoreTree(
  root: BytePath,
  tree: readonly TreePart[],
  blobs: BlobReader,
  options: RestoreOptions,
): Promise<{ readonly written: number; readonly removed: number; readonly leftOut: readonly LeftOut[] }> {
  const pacer = createPacer(options.signal);
  const owners = process.geteuid?.() === 0;
  const attributes = new AttributeRestorer(options.attributes, options.signal);
  const found = await attributes.read(root, await scanKnown(root, pacer, options.cache));
  const { entries, names, equal } = leaveOutEqual(tree, found, options.cache);
  const digestOf = (node: FoundName) => node.digest || digestFile(toText(root), node);
  const plan = await planRestore(entries, names, { digestOf, owners });
  const work: Work = { root, pacer, owners, checked: new Set(), attributes, options };
  for (const node of plan.remove) await removeNode(work, node);
  await writeFiles(work, plan, blobs);
  for (const entry of plan.link) makeLink(work, entry);
  for (const entry of plan.amend) amend(work, entry);
  await attributes.amend(root, plan.amend);
  const entered = [...work.checked].flatMap((path) => equal(path) ?? []);
  const changed = await finishDirectories(work, plan, entered, blobs);
  const created = new Set(plan.write.map(({ path }) => path));
  const amended = changed.filter((path) => !created.has(path) && !work.checked.has(path)).length;
  const written = plan.write.length + plan.link.length + plan.amend.length + amended;
  return { written, removed: plan.remove.length, leftOut: attributes.leftOut };
}

interface Work {
  readonly root: BytePath;
  readonly pacer: Pacer;
  readonly owners: boolean;
  /** Directories that were looked at and are about to change. */
  readonly checked: Set<BytePath>;
  readonly attributes: AttributeRestorer;
  readonly options: RestoreOptions;
}

async function removeNode(work: Work, node: FoundName): Promise<void> {
  enter(work, parentOf(node.path));
  if (node.type === 'directory') {
    rmdirSync(at(work, node.path));
    work.checked.delete(node.path);
  } else if (isTooDeep(node)) {
    emptyDeep(work, parentOf(node.path));
  } else {
    unlinkSync(at(work, node.path));
  }
  if (work.pacer.due()) await work.pacer.rest();
}

/** Removes all that is in a directory that has what lies too deep: from a short path it can be reached. */
function emptyDeep(work: Work, directory: BytePath): void {
  const short = temporaryPath(work);
  renameSync(at(work, directory), toFs(short));
  try {
    removeBelow(short, () => temporaryPath(work));
  } finally {
    renameSync(toFs(short), at(work, directory));
  }
}

function temporaryPath({ root }: Work): BytePath {
  return `${root}/.opencode-tools-restore-${randomBytes(9).toString('hex')}`;
}

/** What is missing with all above it is written as it is and moved at once, everything else name by name. */
async function writeFiles(work: Work, plan: RestorePlan, blobs: BlobReader): Promise<void> {
  if (plan.write.length === 0) return;
  enter(work, '');
  const staging = temporaryPath(work);
  mkdirSync(toFs(staging), 0o700);
  try {
    const { environment, signal } = work.options;
    const staged = stageTrees(plan.write, blobs);
    const isWorthAsking = staged.sparse.size > 0 || plan.write.length >= manyFiles;
    const program = isWorthAsking ? await findTarProgram(environment) : 'another';
    const sparse = program === 'another' ? undefined : staged.sparse;
    const tar = writeTar(staged.members, blobs, { name: staged.nameOf, sparse, memory: pipedMemory(), signal });
    await work.attributes.begin(staging);
    await extractTar(toText(staging), tar, { environment, program, signal });
    await work.attributes.made(staging, plan.write, staged.nameOf);
    for (const entry of staged.moves) {
      enter(work, parentOf(entry.path));
      renameSync(toFs(`${staging}/${staged.nameOf(entry)}`), at(work, entry.path));
      if (work.pacer.due()) await work.pacer.rest();
    }
  } finally {
    rmSync(toFs(staging), { recursive: true, force: true });
  }
}

function makeLink(work: Work, entry: TreeEntry): void {
  enter(work, parentOf(entry.path));
  enter(work, parentOf(entry.target));
  rmSync(at(work, entry.path), { force: true });
  linkSync(at(work, entry.target), at(work, entry.path));
}

function amend(work: Work, entry: TreeEntry): void {
  enter(work, parentOf(entry.path));
  if (nodeAt(work.root, entry.path).type !== 'file') throw notWhatItWas(work, entry.path);
  if (work.owners) chownSync(at(work, entry.path), entry.uid, entry.gid);
  chmodSync(at(work, entry.path), entry.mode);
}

/**
 * Gives directories their modes, owners and times, after everything in them is done.
 *
 * @param entered directories that were as they should be before something in them changed
 * @returns those that differed
 */
async function finishDirectories(
  work: Work,
  plan: RestorePlan,
  entered: readonly TreeEntry[],
  blobs: BlobReader,
): Promise<readonly BytePath[]> {
  const differing: TreeEntry[] = [];
  const lacking: TreeEntry[] = [];
  const again = entered.map((entry) => [walkKey(entry.path), entry, undefined, entry] as const);
  const directories = [
    ...plan.directories.map(([entry, found]) => [walkKey(entry.path), entry, found, found] as const),
    ...again,
  ];
  for (const [, entry, found, present] of directories.sort(([one], [other]) => (one < other ? -1 : 1))) {
    // What nothing was done in is as it was found.
    const node = found === undefined || work.checked.has(entry.path) ? nodeAt(work.root, entry.path) : found;
    if (node.type !== 'directory') throw notWhatItWas(work, entry.path);
    const time = entry.path === '' || node.mtimeNs === entry.mtimeNs;
    const isOther = !time || node.mode !== entry.mode || hasOtherOwner(entry, node, work);
    if (isOther) differing.push(entry);
    if (needsAttributes(entry, present, isOther)) lacking.push(entry);
    if (work.pacer.due()) await work.pacer.rest();
  }
  const inner = differing.filter(({ path }) => path !== '');
  if (inner.length > 0) await extractTar(toText(work.root), writeTar(inner, blobs), work.options);
  const top = differing.find(({ path }) => path === '');
  if (top !== undefined) {
    if (work.owners) chownSync(toFs(work.root), top.uid, top.gid);
    chmodSync(toFs(work.root), top.mode);
  }
  await work.attributes.amend(work.root, lacking);
  return [...new Set([...differing, ...lacking])].map(({ path }) => path);
}

/** Makes sure that a directory and those above it are directories that we may change. */
function enter(work: Work, directory: BytePath): void {
  if (work.checked.has(directory)) return;
  if (directory !== '') enter(work, parentOf(directory));
  const facts = lstatSync(at(work, directory));
  if (!facts.isDirectory()) throw notWhatItWas(work, directory);
  if (!work.owners && (facts.mode & 0o700) !== 0o700) chmodSync(at(work, directory), (facts.mode & 0o7777) | 0o700);
  work.checked.add(directory);
}

function at(work: Work, path: BytePath): string | Buffer {
  return toFs(path === '' ? work.root : `${work.root}/${path}`);
}

function notWhatItWas(work: Work, path: BytePath) {
  const shown = shortPath(toText(`${work.root}/${path}`));
  return invalid(`Changed while it was restored: ${shown}`, 'End what writes to the directory, then restore again.', {
    path: shown,
  });
}
