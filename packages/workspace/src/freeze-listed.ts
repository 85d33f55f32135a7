import type { ByteStream, Logger, VolumeNode, VolumePort } from '@opencode-tools/core';
import type { BlobIndex } from './blob-index.ts';
import { type BytePath, canonicalPath, toText } from './byte-path.ts';
import { invalid } from './failures.ts';
import { freezeStream, storeContent } from './freeze-volume.ts';
import type { PackWriter } from './pack-writer.ts';
import { createPacer } from './pacer.ts';
import type { DiskNode } from './scan-directory.ts';
import { loadStatCache, saveStatCache } from './stat-cache.ts';
import type { StoreLayout } from './store-files.ts';
import { readTar } from './tar-reader.ts';
import { type TreeEntry, canonicalTree, walkKey } from './tree-entry.ts';

interface Store {
  readonly layout: StoreLayout;
  readonly index: BlobIndex;
  readonly pack: PackWriter;
}

interface Options {
  readonly logger: Logger;
  readonly signal?: AbortSignal | undefined;
}

interface Content {
  readonly digest: string;
  readonly size: number;
}

/**
 * Reads a volume into a pack. Where the engine can list it, only files are read that changed since the last time: what has the size,
 * inode and times that it had then, and is in the store, is not read again.
 *
 * @returns the canonical tree
 */
export async function freezeVolume(
  volumes: VolumePort,
  volume: string,
  store: Store,
  options: Options,
): Promise<readonly TreeEntry[]> {
  const listing = await volumes.listTree(volume, options.signal);
  if (listing === null) return freezeStream(await volumes.readTree(volume, options.signal), store, options);
  await using _ = listing;
  const nodes = inOrder(listing.nodes).map(asDiskNode);
  const place = `volume ${volume}`;
  const cache = await loadStatCache(store.layout, place);
  const contents = new Map<string, Content>();
  const wanted = new Map<BytePath, DiskNode>();
  for (const node of nodes) {
    if (node.type !== 'file' || contents.has(node.identity)) continue;
    const known = cache.recall(node.path, node)?.digest;
    const isKept = known !== undefined && (store.index.has(known) || store.pack.has(known));
    contents.set(node.identity, { digest: isKept ? known : '', size: node.size });
    if (!isKept) wanted.set(node.path, node);
  }
  if (wanted.size > 0) {
    await readWanted(listing.read([...wanted.keys()]), wanted, contents, store, options);
    const learned = nodes.flatMap((node) => {
      const content = node.type === 'file' ? contents.get(node.identity) : undefined;
      if (content === undefined || content.digest === '') return [];
      const { path, mode, uid, gid, mtimeNs } = node;
      return [[node, { path, type: 'file', mode, uid, gid, mtimeNs, target: '', ...content }] as const];
    });
    await saveStatCache(store.layout, place, learned, Number(listing.startedNs / 1_000_000n));
  }
  reportOmitted(nodes, options.logger);
  return canonicalTree(toEntries(nodes, contents));
}

/** Every file that is asked for comes, or the volume is not as it was listed. */
async function readWanted(
  stream: ByteStream,
  wanted: Map<BytePath, DiskNode>,
  contents: Map<string, Content>,
  store: Store,
  { signal }: Options,
): Promise<void> {
  const pacer = createPacer(signal);
  for await (const [member, content] of readTar(stream)) {
    const path = canonicalPath(member.name);
    const node = wanted.get(path);
    if (node === undefined || member.type !== 'file' || member.size !== node.size) throw changed(path);
    contents.set(node.identity, await storeContent(member.size, content, store));
    wanted.delete(path);
    if (pacer.due()) await pacer.rest();
  }
  for (const path of wanted.keys()) throw changed(path);
}

function toEntries(nodes: readonly DiskNode[], contents: ReadonlyMap<string, Content>): readonly TreeEntry[] {
  const leaders = new Map<string, BytePath>();
  const entries: TreeEntry[] = [];
  for (const { path, type, mode, uid, gid, mtimeNs, identity, target } of nodes) {
    const base = { path, mode, uid, gid, mtimeNs: path === '' ? 0n : mtimeNs, size: 0, digest: '', target: '' };
    if (type === 'directory') entries.push({ ...base, type });
    else if (type === 'symlink') entries.push({ ...base, type, target });
    else if (type === 'file') {
      const leader = leaders.get(identity);
      const content = contents.get(identity);
      if (leader === undefined) leaders.set(identity, path);
      if (leader === undefined) entries.push({ ...base, ...content, type });
      else entries.push({ ...base, ...content, type: 'link', target: leader });
    }
  }
  return entries;
}

/** In the order of a walk. */
function inOrder(nodes: readonly VolumeNode[]): readonly VolumeNode[] {
  const keyed = nodes.map((node) => [walkKey(node.path), node] as const);
  return keyed.sort(([one], [other]) => (one < other ? -1 : 1)).map(([, node]) => node);
}

function asDiskNode({ modifiedNs, changedNs, ...node }: VolumeNode): DiskNode {
  const [dev = 0, ino = 0] = node.identity.split(':').map(Number);
  return {
    ...node,
    dev,
    ino,
    mode: node.type === 'symlink' ? 0o777 : node.mode,
    mtimeNs: modifiedNs,
    mtimeMs: Number(modifiedNs) / 1e6,
    ctimeMs: Number(changedNs) / 1e6,
  };
}

function reportOmitted(nodes: readonly DiskNode[], logger: Logger): void {
  const omitted = nodes.filter(({ type }) => type === 'other').length;
  if (omitted > 0) logger.info('Sockets, pipes and devices are not part of a snapshot', { omitted });
}

function changed(path: BytePath) {
  return invalid(`Changed while it was read: ${toText(path)}`, 'Keep the tree unchanged meanwhile, then try again.', {
    path: toText(path),
  });
}
