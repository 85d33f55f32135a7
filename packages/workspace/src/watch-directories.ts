import { readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type DirectoryWatch,
  type OperationId,
  type Tripwire,
  findTripwires,
  repositoryFiles,
} from '@opencode-tools/core';
import { type BytePath, toBytePath } from './byte-path.ts';
import { errnoOf } from './failures.ts';
import { type DirectoryLook, type SeenDirectory, isQuiet, lookAtDirectory, settleMs } from './look-at-directory.ts';
import { createPacer } from './pacer.ts';
import { describeChange } from './review-work.ts';
import { type SeenFile, isSameFile } from './seen-file.ts';
import { createLayout, layoutOf, temporaryPath } from './store-files.ts';

/** So many directories are remembered, for the texts in them. */
const mostRemembered = 4;
/** No command runs so long: whoever noted it is gone. */
const abandonedAfterMs = 30 * 86_400_000;

interface Note extends DirectoryLook {
  readonly root: BytePath;
  /** The wall clock less the steady one when a quick look began; undefined for one that took no file over. */
  readonly clockMs?: number;
}

/** As it is in a file. */
interface KeptNote {
  readonly atMs: number;
  readonly root: BytePath;
  readonly directories: readonly (readonly [path: BytePath, files: readonly (readonly [BytePath, SeenFile])[]])[];
}

/**
 * Compares directories by what the kernel says of each file: the time of its last change cannot be set by a program. The rules
 * are those by which work is reviewed.
 *
 * @param options.directory the content store, where notes for other processes are
 */
export function createDirectoryWatch(options: { readonly directory: string }): DirectoryWatch {
  const layout = layoutOf(options.directory);
  const notes = new Map<OperationId, Note>();
  const remembered = new Map<BytePath, DirectoryLook>();
  const fileOf = (id: OperationId): string => join(layout.notes, `${id}.json`);

  const lookAt = async (root: BytePath, quick = false): Promise<DirectoryLook> => {
    const look = await lookAtDirectory(root, createPacer(undefined), { earlier: remembered.get(root), quick });
    remembered.delete(root);
    remembered.set(root, look);
    for (const oldest of remembered.keys()) if (remembered.size > mostRemembered) remembered.delete(oldest);
    return look;
  };
  const keep = async (id: OperationId, { atMs, root, directories }: Note): Promise<void> => {
    await createLayout(layout);
    await removeAbandoned(layout.notes);
    const temporary = temporaryPath(layout, 'note');
    const files = [...directories].map(([path, seen]) => [path, [...seen.files]] as const);
    const kept: KeptNote = { atMs, root, directories: files };
    await writeFile(temporary, JSON.stringify(kept), { mode: 0o600 });
    await rename(temporary, fileOf(id));
  };
  const find = async (id: OperationId): Promise<Note | undefined> => {
    const here = notes.get(id);
    if (here !== undefined) return here;
    try {
      return noteFrom(JSON.parse(await readFile(fileOf(id), 'utf8')) as KeptNote);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
      throw error;
    }
  };
  return {
    note: async (id, directory, { durable }) => {
      const root = toBytePath(directory);
      const clockMs = clockOffset();
      const look = await lookAt(root, !durable);
      if (durable) await keep(id, { root, ...look });
      else notes.set(id, { root, clockMs, ...look });
    },
    compare: async (id) => {
      const note = await find(id);
      return note === undefined ? null : tripwiresBetween(note, await lookAt(note.root));
    },
    forget: async (id) => {
      if (!notes.delete(id)) await rm(fileOf(id), { force: true });
    },
  };
}

function noteFrom({ atMs, root, directories }: KeptNote): Note {
  const unlisted = { inode: 0, changedMs: 0, listing: { directories: [] } };
  return {
    atMs,
    root,
    directories: new Map(directories.map(([path, files]) => [path, { ...unlisted, files: new Map(files) }])),
  };
}

/** Falls when the wall clock is set back. */
function clockOffset(): number {
  return Date.now() - performance.now();
}

interface Difference {
  readonly path: BytePath;
  readonly before: SeenFile | undefined;
  readonly after: SeenFile | undefined;
}

function tripwiresBetween(note: Note, look: DirectoryLook): readonly Tripwire[] {
  const paths = new Set([...look.directories.keys(), ...note.directories.keys()]);
  const differences = [...paths].flatMap((path) => differencesIn(path, note, look));
  differences.sort((a, b) => depthOf(a.path) - depthOf(b.path) || (a.path < b.path ? -1 : 1));
  const files = differences.map((difference) => describeChange(difference, ({ text }) => text));
  const inRepository = repositoryFiles(files, (path) => standsIn(look, toBytePath(path)));
  return findTripwires(files.map((file) => ({ ...file, inRepository: inRepository.has(file.path) })));
}

function standsIn({ directories }: DirectoryLook, path: BytePath): boolean {
  const end = path.lastIndexOf('/');
  const files = directories.get(path.slice(0, Math.max(0, end)))?.files;
  return directories.has(path) || files?.has(path.slice(end + 1)) === true;
}

function differencesIn(path: BytePath, note: Note, look: DirectoryLook): readonly Difference[] {
  const [from, to] = [note.directories.get(path), look.directories.get(path)];
  if (from === to) return [];
  const below = path === '' ? '' : `${path}/`;
  const found: Difference[] = [];
  for (const [name, after] of to?.files ?? []) {
    const before = from?.files.get(name);
    if (before !== undefined && isSameFile(before, after)) continue;
    if (from !== undefined && from.listing === to?.listing && changedBefore(note, from, name, after)) continue;
    found.push({ path: below + name, before, after });
  }
  for (const [name, before] of from?.files ?? [])
    if (to?.files.has(name) !== true) found.push({ path: below + name, before, after: undefined });
  return found;
}

/** A quick look passes over quiet files; the time of the last change tells whether one that differs changed since. */
function changedBefore({ atMs, clockMs }: Note, directory: SeenDirectory, name: BytePath, after: SeenFile): boolean {
  const before = directory.files.get(name);
  if (clockMs === undefined || before === undefined || !isQuiet(directory, name, before)) return false;
  return after.changedMs < atMs - settleMs && clockOffset() > clockMs - settleMs / 2;
}

/** What lies near the top is read by more programs, and drowns among the dependencies of an installation. */
function depthOf(path: BytePath): number {
  return path.split('/').length;
}

async function removeAbandoned(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    const facts = await stat(path).catch(() => undefined);
    if (facts !== undefined && Date.now() - facts.mtimeMs > abandonedAfterMs) await rm(path, { force: true });
  }
}
