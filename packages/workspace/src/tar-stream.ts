import type { BlobReader } from './blob-reader.ts';
import { createPacer } from './pacer.ts';
import { partBytes } from './packed-blob.ts';
import { encodeHeader, endOfArchive, mostHeaderBytes, writeHeader } from './tar-header.ts';
import { paddingOf } from './tar-member.ts';
import type { TreeEntry } from './tree-entry.ts';

const chunkBytes = 1024 * 1024;
const none: ReadonlySet<number> = new Set();
/** Files up to this size are put into a chunk with others. */
const smallBytes = 512 * 1024;

/** How an entry is named in the stream. */
export type MemberName = (entry: TreeEntry) => string;

/** Names members relative to the volume's root, as `tar -c .` does. */
const relativeName: MemberName = ({ path }) => (path === '' ? '.' : `./${path}`);

/**
 * Makes a tar stream of entries, their content checked against its digests on the way.
 *
 * @throws OpencodeToolsError `OCT_CHECKPOINT_CORRUPT` naming the path, `OCT_CANCELLED`
 */
export async function* writeTar(
  entries: Iterable<TreeEntry>,
  blobs: BlobReader,
  options: {
    readonly name?: MemberName;
    /** False when more members follow. */
    readonly ends?: boolean;
    /** Files with holes that become sparse members; their names have to be ASCII. */
    readonly sparse?: ReadonlySet<TreeEntry> | undefined;
    /** Gives what a chunk is put into, once the one before was taken; by default each has memory of its own. */
    readonly memory?: () => Buffer;
    readonly signal?: AbortSignal | undefined;
  } = {},
): AsyncGenerator<Buffer> {
  const { name: nameOf = relativeName, memory = () => Buffer.allocUnsafe(chunkBytes) } = options;
  const pacer = createPacer(options.signal);
  let chunk = memory();
  let used = 0;
  for (const entry of entries) {
    if (pacer.due()) await pacer.rest();
    const holes = options.sparse?.has(entry) === true ? blobs.holesOf(entry) : none;
    if (holes.size > 0) {
      if (used > 0) {
        yield chunk.subarray(0, used);
        [chunk, used] = [memory(), 0];
      }
      yield* sparseMember(entry, nameOf, holes, blobs);
      continue;
    }
    const member = memberOf(entry, nameOf);
    const { size } = member;
    const whole = size <= smallBytes ? size + paddingOf(size) : 0;
    const room = mostHeaderBytes(member) + whole;
    if (used + room > chunk.length) {
      if (used > 0) {
        yield chunk.subarray(0, used);
        [chunk, used] = [memory(), 0];
      }
      if (chunk.length < room) chunk = Buffer.allocUnsafe(room);
    }
    used = writeHeader(chunk, used, member);
    if (size === 0) continue;
    if (whole > 0) {
      blobs.readInto(entry, chunk.subarray(used, used + size));
      chunk.fill(0, used + size, used + whole);
      used += whole;
      continue;
    }
    yield chunk.subarray(0, used);
    [chunk, used] = [memory(), 0];
    yield* blobs.chunks(entry);
    used = paddingOf(size);
    chunk.fill(0, 0, used);
  }
  yield options.ends === false ? chunk.subarray(0, used) : Buffer.concat([chunk.subarray(0, used), endOfArchive()]);
}

function* sparseMember(
  entry: TreeEntry,
  nameOf: MemberName,
  holes: ReadonlySet<number>,
  blobs: BlobReader,
): Generator<Buffer> {
  const { type, mode, uid, gid, mtimeNs, size } = entry;
  const lengths = Array.from({ length: Math.ceil(size / partBytes) }, (_, at) =>
    holes.has(at) ? 0 : Math.min(partBytes, size - at * partBytes),
  );
  const data = lengths.flatMap((length, at) => (length === 0 ? [] : [`${at * partBytes}\n${length}\n`]));
  // The last one says how long the file is when it ends with a hole.
  const text = Buffer.from(`${data.length + 1}\n${data.join('')}${size}\n0\n`, 'latin1');
  const map = Buffer.concat([text, Buffer.alloc(paddingOf(text.length))]);
  const bytes = lengths.reduce((sum, length) => sum + length, map.length);
  const sparse = { name: nameOf(entry), size };
  const plain = { type: type as 'file', mode, uid, gid, mtimeNs, target: '', attributes: entry.attributes };
  yield Buffer.concat([encodeHeader({ ...plain, name: `GNUSparseFile.0/${sparse.name}`, size: bytes, sparse }), map]);
  let at = 0;
  for (const part of blobs.chunks(entry)) {
    if (!holes.has(at)) yield part;
    at += 1;
  }
  yield Buffer.alloc(paddingOf(bytes));
}

function memberOf(entry: TreeEntry, nameOf: MemberName): Parameters<typeof writeHeader>[2] {
  const { type, mode, uid, gid, mtimeNs, target } = entry;
  const attributes = type === 'link' ? undefined : entry.attributes;
  const size = type === 'file' ? entry.size : 0;
  const linkTarget = type === 'link' ? nameOf({ ...entry, path: target }) : target;
  return { name: nameOf(entry), type, mode, uid, gid, mtimeNs, size, target: linkTarget, attributes };
}
