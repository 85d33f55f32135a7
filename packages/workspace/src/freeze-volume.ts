import { createHash } from 'node:crypto';
import { type ByteStream, longestPathBytes } from '@opencode-tools/core';
import type { BlobIndex } from './blob-index.ts';
import { smallFileBytes } from './blob-reader.ts';
import type { Content } from './byte-source.ts';
import { canonicalPath, parentOf } from './byte-path.ts';
import { type FreezeDirectoryOptions, reportOmitted } from './freeze-directory.ts';
import { type DiskNode, tooDeep } from './scan-directory.ts';
import { storeSmall } from './store-contents.ts';
import type { PackWriter } from './pack-writer.ts';
import { createPacer } from './pacer.ts';
import type { TarMember } from './tar-member.ts';
import { readTar } from './tar-reader.ts';
import { type TreeEntry, canonicalTree } from './tree-entry.ts';

/**
 * Reads a volume's tar stream into a pack, file by file.
 *
 * @returns the canonical tree
 */
export async function freezeStream(
  stream: ByteStream,
  store: { readonly index: BlobIndex; readonly pack: PackWriter },
  options: Pick<FreezeDirectoryOptions, 'logger' | 'onLeftOut' | 'signal'>,
): Promise<readonly TreeEntry[]> {
  const pacer = createPacer(options.signal);
  const entries = new Map<string, TreeEntry>();
  const omitted: DiskNode[] = [];
  // Files whose first name lies too deep.
  const deep = new Map<string, TreeEntry>();
  for await (const [member, content] of readTar(stream)) {
    const path = canonicalPath(member.name);
    if (path.length > longestPathBytes) {
      if (parentOf(path).length <= longestPathBytes) omitted.push(tooDeep(path));
      if (member.type === 'file') deep.set(path, await toEntry(path, member, content, { ...store, entries }));
    } else if (member.type === 'other') omitted.push({ ...tooDeep(path), identity: path });
    else if (member.type === 'link' && deep.has(canonicalPath(member.target)))
      entries.set(path, nextName(path, canonicalPath(member.target), deep));
    else entries.set(path, await toEntry(path, member, content, { ...store, entries }));
    if (pacer.due()) await pacer.rest();
  }
  reportOmitted(omitted, 'a stream', options);
  return canonicalTree([...entries.values()]);
}

/** A further name of a file whose first lies too deep; the first of these is the file. */
function nextName(path: string, target: string, deep: Map<string, TreeEntry>): TreeEntry {
  const leader = deep.get(target);
  if (leader === undefined) throw new Error('A hard link leads to nothing');
  if (leader.path !== target) return { ...leader, path, type: 'link', target: leader.path };
  const file = { ...leader, path };
  deep.set(target, file);
  return file;
}

/** Stores the content of a member and says what the member is; `entries` has those before it. */
export async function toEntry(
  path: string,
  member: TarMember,
  content: Content,
  work: {
    readonly index: BlobIndex;
    readonly pack: PackWriter;
    readonly entries: ReadonlyMap<string, TreeEntry>;
  },
): Promise<TreeEntry> {
  const { type, mode, uid, gid, mtimeNs, attributes } = member;
  const base = { path, mode, uid, gid, mtimeNs, size: 0, digest: '', target: '' };
  const own = attributes === undefined ? {} : { attributes };
  if (type === 'symlink') return { ...base, type, mode: 0o777, target: member.target };
  if (type === 'link') return linkEntry(path, canonicalPath(member.target), work.entries);
  if (type === 'file') return { ...base, type, ...(await storeContent(member.size, content, work)), ...own };
  return { ...base, type: 'directory', mtimeNs: path === '' ? 0n : mtimeNs, ...own };
}

function linkEntry(path: string, target: string, entries: ReadonlyMap<string, TreeEntry>): TreeEntry {
  const leader = entries.get(target);
  if (leader?.type === 'symlink') return { ...leader, path };
  if (leader === undefined) throw new Error(`A hard link leads to nothing: ${path}`);
  return { ...leader, path, type: 'link', target: leader.type === 'link' ? leader.target : target };
}

/** Puts content of a known size into a pack unless the store has it. */
export async function storeContent(
  size: number,
  content: Content,
  { index, pack }: { readonly index: BlobIndex; readonly pack: PackWriter },
): Promise<{ readonly digest: string; readonly size: number }> {
  if (size <= smallFileBytes) return storeSmall(await content.rest(), { index, pack });
  const sum = createHash('sha256');
  const from = pack.position;
  for (let bytes = await content.next(); bytes !== undefined; bytes = await content.next()) {
    sum.update(bytes);
    pack.append(bytes);
  }
  const digest = sum.digest('hex');
  if (index.has(digest) || pack.has(digest)) await pack.rewind(from);
  else pack.record(digest, from);
  return { digest, size };
}
