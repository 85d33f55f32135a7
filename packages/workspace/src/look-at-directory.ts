import { type Stats, readdirSync, statfsSync } from 'node:fs';
import { OpencodeToolsError, findTripwires } from '@opencode-tools/core';
import { type BytePath, toFs, toText } from './byte-path.ts';
import type { Pacer } from './pacer.ts';
import { ownRepository } from './review-work.ts';
import { type SeenFile, type TextOf, factsAt, isStill, readText, seenAs } from './seen-file.ts';

const mostFiles = 500_000;
const mostTexts = 64 * 1024 ** 2;
/** What changed less than this before a look may change again without a new time, so nothing of it is taken over. */
export const settleMs = 100;

/**
 * File systems on which this host's clock gives each change its time, a directory's included: ext, XFS, Btrfs, tmpfs, F2FS, ZFS
 * and overlays of them. On others nothing is taken over from look to look.
 */
const steadyTypes = new Set([0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0xf2f5_2010, 0x2fc1_2fc1, 0x794c_7630]);

/** Names in a directory, as long as it does not change. */
interface Listing {
  readonly directories: readonly BytePath[];
  /** The names that a rule knows; undefined until somebody asks. */
  ruled?: ReadonlySet<BytePath>;
}

/** A directory of a look. The same object in two looks means that nothing in it differs. */
export interface SeenDirectory {
  readonly inode: number;
  readonly changedMs: number;
  readonly listing: Listing;
  /** By name; what is no directory. */
  readonly files: ReadonlyMap<BytePath, SeenFile>;
}

export interface DirectoryLook {
  readonly atMs: number;
  /** By path, empty for the top. */
  readonly directories: ReadonlyMap<BytePath, SeenDirectory>;
}

/**
 * Lists the files and links of a directory of the host with what the kernel says of them, never following a link. What goes
 * away meanwhile or cannot be listed is left out.
 *
 * @param root absolute path
 * @param options.earlier look at the same directory; names and texts are taken over where the kernel says that nothing changed
 * @param options.quick takes over the facts of the files that `isQuiet` as well, wherever their directory did not change
 * @throws OpencodeToolsError `OCT_RESOURCE_LIMIT` past 500,000 files
 */
export async function lookAtDirectory(
  root: BytePath,
  pacer: Pacer,
  { earlier, quick = false }: { readonly earlier?: DirectoryLook | undefined; readonly quick?: boolean } = {},
): Promise<DirectoryLook> {
  const atMs = Date.now();
  const settledMs = (earlier?.atMs ?? 0) - settleMs;
  const steadyDevice = earlier === undefined ? null : steadyDeviceOf(root);
  const directories = new Map<BytePath, SeenDirectory>();
  const waiting: BytePath[] = [''];
  let count = 0;
  let textLeft = mostTexts;
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const full = path === '' ? root : `${root}/${path}`;
    const facts = factsAt(full);
    if (facts?.isDirectory() !== true) continue;
    const before = earlier?.directories.get(path);
    const textOf: TextOf = (name, now) => {
      const was = before?.files.get(name);
      if (was !== undefined && now.ctimeMs < settledMs && isStill(was, now)) return was.text;
      const text = readText(`${full}/${name}`, now.size, textLeft);
      textLeft -= text?.length ?? 0;
      return text;
    };
    const known =
      before !== undefined && facts.dev === steadyDevice && facts.ctimeMs < settledMs && isSameListing(before, facts);
    const again = known ? await lookAgain(path, full, before, quick, textOf, pacer) : undefined;
    const seen = again ?? (await list(path, full, facts, textOf, pacer));
    directories.set(path, seen);
    const below = path === '' ? '' : `${path}/`;
    for (const name of seen.listing.directories) waiting.push(below + name);
    count += seen.files.size;
    if (count > mostFiles)
      throw new OpencodeToolsError('OCT_RESOURCE_LIMIT', `${toText(root)} has more than ${mostFiles} files`);
  }
  return { atMs, directories };
}

/** Whether only a change of its mode can trip: a regular file that no rule knows and that is not executable. */
export function isQuiet({ listing }: SeenDirectory, name: BytePath, { rawMode }: SeenFile): boolean {
  return (rawMode & 0o170000) === 0o100000 && (rawMode & 0o7111) === 0 && listing.ruled?.has(name) === false;
}

function isSameListing({ inode, changedMs }: SeenDirectory, { ino, ctimeMs }: Stats): boolean {
  return inode === ino && changedMs === ctimeMs;
}

/** Undefined when what is there is not what was listed: somebody is at it. */
async function lookAgain(
  path: BytePath,
  full: BytePath,
  before: SeenDirectory,
  quick: boolean,
  textOf: TextOf,
  pacer: Pacer,
): Promise<SeenDirectory | undefined> {
  if (quick) before.listing.ruled ??= ruledOf(path, before.files.keys());
  let files: Map<BytePath, SeenFile> | undefined;
  for (const [name, was] of before.files) {
    if (quick && isQuiet(before, name, was)) continue;
    if (pacer.due()) await pacer.rest();
    const facts = factsAt(`${full}/${name}`);
    if (facts === undefined || facts.isDirectory()) return undefined;
    const text = was.text === null ? null : textOf(name, facts);
    if (isStill(was, facts) && text === was.text) continue;
    files ??= new Map(before.files);
    files.set(name, seenAs(full, name, facts, textOf));
  }
  return files === undefined ? before : { ...before, files };
}

async function list(
  path: BytePath,
  full: BytePath,
  { ino, ctimeMs }: Stats,
  textOf: TextOf,
  pacer: Pacer,
): Promise<SeenDirectory> {
  const files = new Map<BytePath, SeenFile>();
  const directories: BytePath[] = [];
  for (const name of namesIn(full)) {
    if (pacer.due()) await pacer.rest();
    if (path === '' && name === ownRepository) continue;
    const facts = factsAt(`${full}/${name}`);
    if (facts?.isDirectory() === true) directories.push(name);
    else if (facts !== undefined) files.set(name, seenAs(full, name, facts, textOf));
  }
  return { inode: ino, changedMs: ctimeMs, listing: { directories }, files };
}

function ruledOf(path: BytePath, names: Iterable<BytePath>): ReadonlySet<BytePath> {
  const below = path === '' ? '' : `${path}/`;
  const change = { change: 'modified', type: 'file', modes: [null, null], target: '', texts: [null, null] } as const;
  return new Set([...names].filter((name) => findTripwires([{ ...change, path: toText(below + name) }]).length > 0));
}

function steadyDeviceOf(root: BytePath): number | null {
  try {
    return steadyTypes.has(statfsSync(toFs(root)).type) ? (factsAt(root)?.dev ?? null) : null;
  } catch {
    return null;
  }
}

function namesIn(path: BytePath): readonly BytePath[] {
  try {
    return readdirSync(toFs(path), { encoding: 'latin1' });
  } catch {
    return [];
  }
}
