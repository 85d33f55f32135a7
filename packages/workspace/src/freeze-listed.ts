import { type ByteStream, type Logger, type VolumeNode, type VolumePort, longestPathBytes } from '@opencode-tools/core';
import type { BlobIndex } from './blob-index.ts';
import { type BytePath, canonicalPath, parentOf } from './byte-path.ts';
import { type FrozenTree, frozenTree, type OnLeftOut, reportOmitted } from './freeze-directory.ts';
import { freezeStream, storeContent } from './freeze-volume.ts';
import { addKnown, isKnown } from './known-lines.ts';
import type { PackWriter } from './pack-writer.ts';
import { createPacer } from './pacer.ts';
import { type DiskNode, type Look, tooDeep } from './scan-directory.ts';
import { type StatCache, loadStatCache } from './stat-cache.ts';
import { type FileContent, type Found, changed } from './store-contents.ts';
import type { StoreLayout } from './store-files.ts';
import { readTar } from './tar-reader.ts';

interface Store {
  readonly layout: StoreLayout;
  readonly index: BlobIndex;
  readonly pack: PackWriter;
}

interface Options {
  readonly logger: Logger;
  readonly onLeftOut?: OnLeftOut | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a volume into a pack. Where the engine can list it, only files are read that changed since the last time: what has the size,
 * inode and times that it had then, and is in the store, is not read again.
 *
 * @param work gets what has to end before the volume is free again
 */
export async function freezeVolume(
  volumes: VolumePort,
  volume: string,
  store: Store,
  work: AsyncDisposableStack,
  options: Options,
): Promise<FrozenTree> {
  const place = `volume ${volume}`;
  // Read while the engine lists.
  const loading = loadStatCache(store.layout, place, 'attributes');
  const listing = await volumes.listTree(volume, options.signal);
  if (listing === null)
    return { tree: await freezeStream(await volumes.readTree(volume, options.signal), store, options) };
  work.use(listing);
  const cache = await loading;
  const isStored = store.index.keepsAll(cache.packs);
  const [reached, leftOut] = reachable(inOrder(listing.nodes));
  const seen = recall(reached, cache, isStored, store);
  const wanted = new Map<BytePath, DiskNode>();
  const contents = new Map<string, FileContent>();
  const asked = new Set<string>();
  for (const node of seen) {
    if (isKnown(node) || node.digest !== undefined || asked.has(node.identity)) continue;
    if (node.type !== 'file' && node.type !== 'directory') continue;
    asked.add(node.identity);
    wanted.set(node.path, node);
  }
  const attributes =
    wanted.size > 0
      ? await readWanted(listing.read([...wanted.keys()]), wanted, contents, store, options)
      : new Map<string, string>();
  const found = seen.map((one) => {
    if (isKnown(one) || one.digest !== undefined) return one;
    const own = attributes.get(one.identity);
    return own === undefined ? one : { ...one, attributes: own };
  });
  // What has read the volume goes away while the tree is kept.
  const closing = Promise.resolve(listing[Symbol.asyncDispose]());
  closing.catch(() => undefined);
  work.defer(async () => closing);
  reportOmitted([...found, ...leftOut.map(tooDeep)], place, options);
  const ofNodes = found.map((one) => (isKnown(one) ? undefined : contents.get(one.identity)));
  const startedMs = Number(listing.startedNs / 1_000_000n);
  return frozenTree(found, ofNodes, { cache, isStored, layout: store.layout, place, startedMs, kind: 'attributes' });
}

/** Nodes without those whose paths are too long, and the first of these on each way down. */
function reachable(nodes: readonly VolumeNode[]): readonly [readonly VolumeNode[], readonly BytePath[]] {
  const leftOut = nodes.filter(({ path }) => path.length > longestPathBytes).map(({ path }) => path);
  if (leftOut.length === 0) return [nodes, leftOut];
  const isFirst = (path: BytePath): boolean => parentOf(path).length <= longestPathBytes;
  return [nodes.filter(({ path }) => path.length <= longestPathBytes), leftOut.filter(isFirst)];
}

/** What looks as it did the last time and is in the store is given as what is known of it; a file with several names has its digest. */
function recall(nodes: readonly VolumeNode[], cache: StatCache, isStored: boolean, { index, pack }: Store) {
  const found: Found[] = [];
  for (const node of nodes) {
    const look = lookOf(node);
    const at = cache.recall(node.path, look);
    const isAlone = node.path !== '' && (node.links === 1 || node.type === 'directory');
    if (at !== undefined && isStored && isAlone) {
      addKnown(found, cache, at);
      continue;
    }
    const digest = at === undefined ? '' : cache.digestAt(at);
    const isKept = isStored || digest === '' || index.has(digest) || pack.has(digest);
    if (at === undefined || !isKept) found.push(asDiskNode(node, look));
    else if (isAlone) addKnown(found, cache, at);
    else found.push({ ...asDiskNode(node, look), ...cache.readAt(at) });
  }
  return found;
}

/**
 * Every file and directory that is asked for comes, or the volume is not as it was listed.
 *
 * @returns the attributes of those that have some
 */
async function readWanted(
  stream: ByteStream,
  wanted: Map<BytePath, DiskNode>,
  contents: Map<string, FileContent>,
  store: Store,
  { signal }: Options,
): Promise<ReadonlyMap<string, string>> {
  const pacer = createPacer(signal);
  const attributes = new Map<string, string>();
  for await (const [member, content] of readTar(stream)) {
    const path = canonicalPath(member.name);
    const node = wanted.get(path);
    if (node === undefined || member.type !== node.type || member.size !== node.size) throw changed(path);
    if (member.attributes !== undefined) attributes.set(node.identity, member.attributes);
    if (node.type === 'file')
      contents.set(node.identity, { ...(await storeContent(member.size, content, store)), stable: true });
    wanted.delete(path);
    if (pacer.due()) await pacer.rest();
  }
  for (const path of wanted.keys()) throw changed(path);
  return attributes;
}

/** In the order of a walk: each directory is put in order by itself, which takes far fewer comparisons than all paths at once. */
function inOrder(nodes: readonly VolumeNode[]): readonly VolumeNode[] {
  const inside = new Map<BytePath, VolumeNode[]>();
  const ordered: VolumeNode[] = [];
  for (const node of nodes) {
    const { path } = node;
    if (path === '') {
      ordered.push(node);
      continue;
    }
    const above = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    const siblings = inside.get(above);
    if (siblings === undefined) inside.set(above, [node]);
    else siblings.push(node);
  }
  const enter = (directory: BytePath): void => {
    const siblings = inside.get(directory) ?? [];
    for (const node of siblings.sort((one, other) => (one.path < other.path ? -1 : 1))) {
      ordered.push(node);
      if (node.type === 'directory') enter(node.path);
    }
  };
  enter('');
  if (ordered.length !== nodes.length) throw new Error('A listing has names without their directories');
  return ordered;
}

function lookOf({ type, size, modifiedNs, changedNs, identity, mode, uid, gid }: VolumeNode): Look {
  return {
    size: type === 'file' ? size : 0,
    mtimeMs: Number(modifiedNs) / 1e6,
    ctimeMs: Number(changedNs) / 1e6,
    ino: Number(identity.slice(identity.indexOf(':') + 1)),
    mode: type === 'symlink' ? 0o777 : mode,
    uid,
    gid,
  };
}

function asDiskNode({ path, type, identity, links, target, modifiedNs }: VolumeNode, look: Look): DiskNode {
  const dev = Number(identity.slice(0, identity.indexOf(':')));
  return { path, type, identity, links, target, mtimeNs: modifiedNs, dev, ...look };
}
