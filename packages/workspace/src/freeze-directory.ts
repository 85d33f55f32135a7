import { type LeftOut, type Logger, allEnded } from '@opencode-tools/core';
import type { AttributeProgram } from './attributes/attribute-program.ts';
import { readAttributes } from './attributes/read-attributes.ts';
import type { BlobIndex } from './blob-index.ts';
import { type BytePath, toText } from './byte-path.ts';
import { type TreePart, addKnown, entriesOf, isKnown } from './known-lines.ts';
import type { PackWriter } from './pack-writer.ts';
import { shortPath } from './failures.ts';
import { noFollow } from './open-unfollowed.ts';
import { createPacer } from './pacer.ts';
import { type Learned, type StoredManifest, saveStatCache } from './save-stat-cache.ts';
import { type DiskNode, isTooDeep, nodeFrom } from './scan-directory.ts';
import { scanKnown } from './scan-known.ts';
import { type StatCache, emptyStatCache, loadStatCache } from './stat-cache.ts';
import { type FileContent, type Found, storeContents } from './store-contents.ts';
import type { StoreLayout } from './store-files.ts';
import { ThreadedReader } from './threaded-reader.ts';
import { UnfollowedLook } from './walk-unfollowed.ts';
import type { TreeEntry } from './tree-entry.ts';

export type OnLeftOut = (leftOut: LeftOut) => void;

export interface FreezeDirectoryOptions {
  /** Given to every entry instead of the owner on disk. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** False for directories that are read once, such as temporary ones. */
  readonly useStatCache: boolean;
  /** Reads extended attributes; without one they are no part of the tree. */
  readonly attributes?: AttributeProgram | undefined;
  readonly logger: Logger;
  readonly onLeftOut?: OnLeftOut | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A tree that was read into a pack. */
export interface FrozenTree {
  /** In canonical form. */
  readonly tree: readonly TreePart[];
  /** Keeps what was learned for the next time, while or after the manifest is stored. */
  readonly learn?: (manifest: StoredManifest) => Promise<void>;
}

/**
 * Reads a directory of the host into a pack: what the stat cache proves unchanged and the store already has is not read
 * again.
 *
 * @param root real path of the directory
 */
export async function freezeDirectory(
  root: BytePath,
  store: { readonly layout: StoreLayout; readonly index: BlobIndex; readonly pack: PackWriter },
  options: FreezeDirectoryOptions,
): Promise<FrozenTree> {
  const { owner, useStatCache, attributes } = options;
  const pacer = createPacer(options.signal);
  const startedMs = Date.now();
  const kind = (await attributes?.isThere()) === true ? 'attributes' : 'plain';
  const cache = useStatCache ? await loadStatCache(store.layout, root, kind) : emptyStatCache;
  const isStored = store.index.keepsAll(cache.packs);
  await using reader = new ThreadedReader(root, noFollow, { ...store, pacer });
  const read = (node: DiskNode): void => {
    if (node.type === 'file' && node.links === 1) reader.offer(node);
  };
  const scanned = await scanKnown(root, pacer, cache, read);
  const names = isStored ? scanned : lookAtLost(root, scanned, store, read);
  const reading = reader.finish().then((done) => storeContents(root, names, done, { ...store, pacer }));
  const [contents, { found, leftOut }] = await allEnded(
    reading,
    attributes === undefined
      ? Promise.resolve({ found: names, leftOut: undefined })
      : readAttributes(attributes, root, names, options.signal),
  );
  reportOmitted(found, root, options);
  if (leftOut !== undefined) report(leftOut, root, options);
  const { tree, ...learning } = frozenTree(found, contents, {
    cache,
    isStored,
    layout: store.layout,
    place: root,
    startedMs,
    kind,
  });
  return {
    tree: owner === undefined ? tree : entriesOf(tree).map((entry) => withOwner(entry, owner)),
    ...(useStatCache ? learning : {}),
  };
}

/** Access control lists name users of the place where the entry comes from. */
function withOwner(entry: TreeEntry, owner: { readonly uid: number; readonly gid: number }): TreeEntry {
  const { attributes: _, ...plain } = entry;
  return { ...plain, ...owner };
}

/** What was found in a place, as a tree; where all of it is known there is nothing to learn. */
export function frozenTree(
  found: readonly Found[],
  contents: readonly (FileContent | undefined)[],
  scan: {
    readonly cache: StatCache;
    /** The store has all that the cache knows. */
    readonly isStored: boolean;
    readonly layout: StoreLayout;
    readonly place: BytePath;
    readonly startedMs: number;
    /** Whether attributes were read. */
    readonly kind?: 'plain' | 'attributes';
  },
): FrozenTree {
  const { cache, isStored, layout, place, startedMs, kind } = scan;
  const isAllKnown =
    cache.size > 0 &&
    isStored &&
    found.every((one) => one.type === 'other' || isKnown(one) || one.digest !== undefined || one.path === '');
  const learn = async (manifest: StoredManifest) =>
    saveStatCache(layout, place, toLearned(found, contents), startedMs, manifest, kind);
  return { tree: toTree(found, contents), ...(isAllKnown ? {} : { learn }) };
}

/** What is known, but for files that the store has lost. @param tell told of each of those */
function lookAtLost(
  root: BytePath,
  found: readonly Found[],
  { index, pack }: { readonly index: BlobIndex; readonly pack: PackWriter },
  tell: (node: DiskNode) => void,
): readonly Found[] {
  const again: Found[] = [];
  using unfollowed = new UnfollowedLook(root);
  for (const one of found) {
    if (!isKnown(one)) {
      again.push(one);
      continue;
    }
    const { cache } = one;
    for (let at = one.from; at < one.to; at += 1) {
      const digest = cache.digestAt(at);
      if (digest === '' || index.has(digest) || pack.has(digest)) {
        addKnown(again, cache, at);
        continue;
      }
      const node = unfollowed.at(cache.pathAt(at), nodeFrom);
      tell(node);
      again.push(node);
    }
  }
  return again;
}

/** A walk gives the canonical order: parents first, and each group of hard links led by its first path. */
function toTree(found: readonly Found[], contents: readonly (FileContent | undefined)[]): readonly TreePart[] {
  const firstPaths = new Map<string, BytePath>();
  const tree: TreePart[] = [];
  for (const [at, one] of found.entries()) {
    if (isKnown(one)) {
      tree.push(one);
      continue;
    }
    const entry = toEntry(one, contents[at]);
    if (entry === undefined) continue;
    const isLinked = entry.type === 'file' && one.links > 1;
    const first = isLinked ? firstPaths.get(one.identity) : undefined;
    if (isLinked && first === undefined) firstPaths.set(one.identity, entry.path);
    tree.push(first === undefined ? entry : { ...entry, type: 'link', target: first });
  }
  return tree;
}

function toLearned(found: readonly Found[], contents: readonly (FileContent | undefined)[]): readonly Learned[] {
  const linked = new Set<string>();
  return found.flatMap((one, at): readonly Learned[] => {
    if (isKnown(one)) return [one];
    const entry = toEntry(one, contents[at]);
    if (entry === undefined) return [];
    const isLinked = one.type === 'file' && one.links > 1;
    const isLine = !isLinked || !linked.has(one.identity);
    if (isLinked) linked.add(one.identity);
    if (contents[at]?.stable === false) return [{ type: 'passed' }];
    return [{ type: 'learned', node: one, entry, isLine }];
  });
}

function toEntry(node: DiskNode, content: FileContent | undefined): TreeEntry | undefined {
  const { path, type, mode, uid, gid, target, size, digest = '', attributes } = node;
  if (type === 'other') return undefined;
  const mtimeNs = path === '' ? 0n : node.mtimeNs;
  const own = attributes === undefined ? {} : { attributes };
  return { path, type, mode, uid, gid, mtimeNs, size, digest, target, ...contentOf(content), ...own };
}

function contentOf(content: FileContent | undefined): Pick<TreeEntry, 'size' | 'digest'> | undefined {
  return content === undefined ? undefined : { size: content.size, digest: content.digest };
}

interface Reporting {
  readonly logger: Logger;
  readonly onLeftOut?: OnLeftOut | undefined;
}

/** Tells of what is no part of a snapshot. */
export function reportOmitted(found: readonly Found[], place: BytePath, options: Reporting): void {
  const omitted = found.filter((one): one is DiskNode => one.type === 'other');
  if (omitted.length === 0) return;
  const kinds = {
    deep: omitted.filter(isTooDeep),
    special: omitted.filter((one) => !isTooDeep(one)),
  };
  for (const kind of ['deep', 'special'] as const) {
    const [one] = kinds[kind];
    if (one === undefined) continue;
    report({ kind, count: kinds[kind].length, first: shortPath(toText(one.path)) }, place, options);
  }
}

function report(leftOut: LeftOut, place: BytePath, { logger, onLeftOut }: Reporting): void {
  logger.info('Not all that was found is part of a snapshot', { place: toText(place), ...leftOut });
  onLeftOut?.(leftOut);
}
