import type { Worker } from 'node:worker_threads';
import type { BlobIndex } from './blob-index.ts';
import { smallFileBytes } from './blob-reader.ts';
import type { BytePath } from './byte-path.ts';
import type { PackWriter } from './pack-writer.ts';
import type { Pacer } from './pacer.ts';
import { type BatchesInput, type ReadBatch, readBatches } from './read-batches.ts';
import type { DiskNode } from './scan-directory.ts';
import type { FileContent } from './store-contents.ts';
import { startThread, threadsAtOnce } from './thread.ts';

/** What threads take to start pays from about here on. */
const [manyFiles, manyBytes] = [4_000, 128 * 1024 * 1024];
const [batchBytes, batchFiles] = [4 * 1024 * 1024, 1_024];
/** While one is read the one before is written. */
const batchesPerThread = 3;

interface StoreWork {
  readonly index: BlobIndex;
  readonly pack: PackWriter;
  readonly pacer: Pacer;
}

/**
 * Stores many small files, read and hashed in threads of their own, unless the store has them.
 *
 * @param nodes regular files
 * @param flags how they are opened
 * @returns what those hold that were read; others are large, changed since they were scanned, cannot be read, or are too few for this
 */
export async function readInThreads(
  root: BytePath,
  nodes: readonly DiskNode[],
  flags: number,
  work: StoreWork,
): Promise<ReadonlyMap<DiskNode, FileContent>> {
  const contents = new Map<DiskNode, FileContent>();
  const files = nodes.filter(({ size }) => size <= smallFileBytes);
  const threads = threadsAtOnce();
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  if (threads < 2 || (files.length < manyFiles && bytes < manyBytes)) return contents;
  const input = inputOf(root, files, flags);
  const workers = Array.from({ length: threads }, () => start(input));
  try {
    const take = (batch: ReadBatch) =>
      storeBatch(batch, files.slice(input.bounds[batch.batch], input.bounds[batch.batch + 1]), contents, work);
    await Promise.all(workers.map((worker) => serve(worker, take, work.pacer)));
  } finally {
    for (const worker of workers) worker.removeAllListeners('message');
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return contents;
}

function inputOf(root: BytePath, files: readonly DiskNode[], flags: number): BatchesInput {
  const facts = new Float64Array(files.length * 5);
  const bounds: number[] = [];
  let [bytes, count] = [Infinity, 0];
  for (const [at, { size, mtimeMs, ctimeMs, dev, ino }] of files.entries()) {
    facts.set([size, mtimeMs, ctimeMs, dev, ino], at * 5);
    if (bytes + size > batchBytes || count === batchFiles) {
      bounds.push(at);
      [bytes, count] = [0, 0];
    }
    bytes += size;
    count += 1;
  }
  const paths = files.map(({ path }) => path).join('\0');
  const taken = new Int32Array(new SharedArrayBuffer(4));
  return { root, paths, facts, bounds: Int32Array.from([...bounds, files.length]), taken, flags };
}

function start(input: BatchesInput): Worker {
  const worker = startThread(readBatches, input);
  for (let count = 0; count < batchesPerThread; count += 1) give(worker, new ArrayBuffer(batchBytes));
  return worker;
}

function give(worker: Worker, memory: ArrayBuffer): void {
  worker.postMessage(memory, [memory]);
}

/** @returns once a thread has ended; what it did not read is read without it */
function serve(worker: Worker, take: (batch: ReadBatch) => Promise<void>, pacer: Pacer): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.on('message', (batch: ReadBatch) => {
      try {
        void take(batch).then(() => give(worker, batch.memory));
      } catch (error) {
        reject(error);
      }
      pacer.rest().catch(reject);
    });
    worker.once('error', () => resolve());
    worker.once('exit', () => resolve());
  });
}

/** Puts what the store lacks of a batch into the pack. @returns once the memory of the batch is free again */
function storeBatch(
  { memory, digests, lengths }: ReadBatch,
  files: readonly DiskNode[],
  contents: Map<DiskNode, FileContent>,
  { index, pack }: StoreWork,
): Promise<void> {
  const sums = Buffer.from(digests.buffer);
  const bytes = Buffer.from(memory);
  const kept: { readonly digest: string; readonly from: number; readonly to: number }[] = [];
  const own = new Set<string>();
  let [at, used] = [0, 0];
  for (const [number, node] of files.entries()) {
    const size = lengths[number] ?? -1;
    if (size < 0) continue;
    const digest = sums.toString('hex', number * 32, (number + 1) * 32);
    contents.set(node, { digest, size, stable: true });
    if (!index.has(digest) && !pack.has(digest) && !own.has(digest)) {
      if (used !== at) bytes.copyWithin(used, at, at + size);
      kept.push({ digest, from: used, to: used + size });
      own.add(digest);
      used += size;
    }
    at += size;
  }
  const { position, written } = pack.lend(bytes.subarray(0, used));
  for (const { digest, from, to } of kept) pack.record(digest, position + from, position + to);
  return written;
}
