import type { ByteStream, Logger, VolumeNode, VolumePort } from '@opencode-tools/core';
import type { BlobIndex } from './blob-index.ts';
import { type BytePath, canonicalPath } from './byte-path.ts';
import { reportOmitted, toTree } from './freeze-directory.ts';
import { type FileContent, changed } from './store-contents.ts';
import { freezeStream, storeContent } from './freeze-volume.ts';
import { entriesOf } from './known-lines.ts';
import type { PackWriter } from './pack-writer.ts';
import { createPacer } from './pacer.ts';
import type { DiskNode } from './scan-directory.ts';
import { saveStatCache } from './save-stat-cache.ts';
import { loadStatCache } from './stat-cache.ts';
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
  const listed = inOrder(listing.nodes).map(asDiskNode);
  const place = `volume ${volume}`;
  reportOmitted(listed, place, options.logger);
  const nodes = listed.filter(({ type }) => type !== 'other');
  const cache = await loadStatCache(store.layout, place);
  const contents = new Map<string, FileContent>();
  const wanted = new Map<BytePath, DiskNode>();
  for (const node of nodes) {
    if (node.type !== 'file' || contents.has(node.identity)) continue;
    const recalled = cache.recall(node.path, node);
    const known = recalled === undefined ? undefined : cache.digestAt(recalled);
    const isKept = known !== undefined && (store.index.has(known) || store.pack.has(known));
    contents.set(node.identity, { digest: isKept ? known : '', size: node.size, stable: true });
    if (!isKept) wanted.set(node.path, node);
  }
  if (wanted.size > 0) await readWanted(listing.read([...wanted.keys()]), new Map(wanted), contents, store, options);
  const ofNodes = nodes.map(({ type, identity }) => (type === 'file' ? contents.get(identity) : undefined));
  const entries = entriesOf(toTree(nodes, ofNodes));
  if (wanted.size > 0) {
    const learned = entries.flatMap((entry, at) => {
      const node = nodes[at];
      if (node?.type !== 'file') return [];
      return [{ type: 'learned', node, entry: { ...entry, type: 'file', target: '' }, isLine: false } as const];
    });
    await saveStatCache(store.layout, place, learned, Number(listing.startedNs / 1_000_000n));
  }
  return canonicalTree(entries);
}

/** Every file that is asked for comes, or the volume is not as it was listed. */
async function readWanted(
  stream: ByteStream,
  wanted: Map<BytePath, DiskNode>,
  contents: Map<string, FileContent>,
  store: Store,
  { signal }: Options,
): Promise<void> {
  const pacer = createPacer(signal);
  for await (const [member, content] of readTar(stream)) {
    const path = canonicalPath(member.name);
    const node = wanted.get(path);
    if (node === undefined || member.type !== 'file' || member.size !== node.size) throw changed(path);
    contents.set(node.identity, { ...(await storeContent(member.size, content, store)), stable: true });
    wanted.delete(path);
    if (pacer.due()) await pacer.rest();
  }
  for (const path of wanted.keys()) throw changed(path);
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
    size: node.type === 'file' ? node.size : 0,
    mtimeNs: modifiedNs,
    mtimeMs: Number(modifiedNs) / 1e6,
    ctimeMs: Number(changedNs) / 1e6,
  };
}
