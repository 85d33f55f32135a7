import {
  type AdmittedTree,
  type ByteStream,
  type SnapshotRef,
  isOpencodeToolsError,
  OpencodeToolsError,
} from '@opencode-tools/core';
import { decodeAttributes } from './attributes/attribute-text.ts';
import { type BytePath, canonicalPath, parentOf, toText } from './byte-path.ts';
import { headName } from './export-trees.ts';
import { toEntry } from './freeze-volume.ts';
import { manifestDigest } from './manifest.ts';
import { PackWriter } from './pack-writer.ts';
import { createPacer } from './pacer.ts';
import type { StoreParts } from './store-parts.ts';
import type { TarMember } from './tar-member.ts';
import { readTar } from './tar-reader.ts';
import { type TreeEntry, canonicalTree } from './tree-entry.ts';

const longestHead = 1024 * 1024;
const largestId = 0xffff_ffff;

type Admit = (head: Uint8Array) => ReadonlyMap<string, AdmittedTree>;

interface Incoming {
  readonly admitted: AdmittedTree;
  readonly entries: Map<BytePath, TreeEntry>;
  readonly pack: PackWriter;
}

/**
 * Takes in a stream that may be hostile. Nothing becomes visible before every tree was read to its end and is, by the digest of its
 * manifest, the one that the head names.
 */
export async function importTrees(
  stream: ByteStream,
  store: StoreParts,
  admit: Admit,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, SnapshotRef>> {
  const incoming = new Map<string, Incoming>();
  try {
    await readMembers(stream, store, admit, incoming, signal);
    const trees = [...incoming].map(([name, tree]) => [name, tree, checkedTree(name, tree)] as const);
    const refs = new Map<string, SnapshotRef>();
    for (const [name, { admitted, pack }, entries] of trees) {
      refs.set(name, await store.snapshots.save(withOwner(entries, admitted.owner), pack));
    }
    return refs;
  } catch (error) {
    for (const { pack } of incoming.values()) await pack.discard();
    throw isOpencodeToolsError(error, 'OCT_ENGINE_UNAVAILABLE') ? refused('it is cut off or damaged', error) : error;
  }
}

async function readMembers(
  stream: ByteStream,
  { layout, index }: StoreParts,
  admit: Admit,
  incoming: Map<string, Incoming>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const pacer = createPacer(signal);
  let isOpen = false;
  for await (const [member, content] of readTar(stream)) {
    checkMember(member);
    if (!isOpen) {
      if (member.name !== headName || member.type !== 'file' || member.size > longestHead) {
        throw refused('it does not begin with the description of a checkpoint');
      }
      for (const [name, admitted] of admit(await content.rest())) {
        incoming.set(name, { admitted, entries: new Map(), pack: new PackWriter(layout) });
      }
      isOpen = true;
      continue;
    }
    const [name, path] = placeOf(member.name);
    const tree = incoming.get(name);
    if (tree === undefined) throw refused(`it has a member that belongs to no tree: ${toText(member.name)}`);
    if (tree.entries.has(path)) throw refused(`it has a path twice: ${toText(member.name)}`);
    const { entries, pack } = tree;
    const inside = member.type === 'link' ? { ...member, target: targetIn(name, member, entries) } : member;
    entries.set(path, await toEntry(path, inside, content, { index, pack, entries }));
    if (pacer.due()) await pacer.rest();
  }
  if (!isOpen) throw refused('it is empty');
}

function checkMember({ name, type, size, uid, gid, mode, attributes = '' }: TarMember): void {
  const isWhole = [size, uid, gid].every((value) => Number.isSafeInteger(value) && value >= 0);
  if (!isWhole || uid > largestId || gid > largestId || !Number.isInteger(mode)) {
    throw refused(`it has a member with impossible numbers: ${toText(name)}`);
  }
  if (type === 'other') throw refused(`it has a member that is neither file, directory nor link: ${toText(name)}`);
  const isPowerful = ((mode & 0o4000) !== 0 && uid === 0) || ((mode & 0o2000) !== 0 && gid === 0);
  if (type === 'file' && (isPowerful || decodeAttributes(attributes).has('security.capability'))) {
    const remedy =
      'Take its setuid and setgid bits and its capabilities away where it was made, then checkpoint and export again.';
    throw refused(`it has a program that would run as root: ${toText(name)}`, undefined, remedy);
  }
}

function placeOf(member: BytePath): readonly [name: string, path: BytePath] {
  const path = canonicalPath(member);
  const slash = path.indexOf('/');
  return slash === -1 ? [path, ''] : [path.slice(0, slash), path.slice(slash + 1)];
}

function targetIn(name: string, member: TarMember, entries: ReadonlyMap<BytePath, TreeEntry>): BytePath {
  const [tree, path] = placeOf(member.target);
  const type = entries.get(path)?.type;
  if (tree === name && (type === 'file' || type === 'link')) return path;
  throw refused(`it has a hard link to no file of its tree: ${toText(member.name)}`);
}

function checkedTree(name: string, { admitted, entries }: Incoming): readonly TreeEntry[] {
  for (const { path } of entries.values()) {
    if (path !== '' && entries.get(parentOf(path))?.type !== 'directory') {
      throw refused(`it has a path below what is no directory: ${toText(`${name}/${path}`)}`);
    }
  }
  if (entries.size > 0 && entries.get('')?.type !== 'directory') throw refused(`its ${name} is no directory`);
  const tree = canonicalTree([...entries.values()]);
  if (manifestDigest(tree) === admitted.digest) return tree;
  throw refused(`its ${name} is not the tree whose digest it names`);
}

function withOwner(entries: readonly TreeEntry[], owner: AdmittedTree['owner']): readonly TreeEntry[] {
  if (owner === null) return entries;
  const { from, to } = owner;
  return entries.map((entry) => ({
    ...entry,
    uid: entry.uid === from.uid ? to.uid : entry.uid,
    gid: entry.gid === from.gid ? to.gid : entry.gid,
  }));
}

const exportAgain = 'Export the checkpoint again, and copy the file whole.';

function refused(why: string, cause?: unknown, remedy = exportAgain): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The exported checkpoint is refused: ${why}`, {
    remedy,
    details: { argument: 'file' },
    ...(cause === undefined ? {} : { cause }),
  });
}
