import type { Worker } from 'node:worker_threads';
import type { BlobIndex } from './blob-index.ts';
import { smallFileBytes } from './blob-reader.ts';
import type { BytePath } from './byte-path.ts';
import type { PackWriter } from './pack-writer.ts';
import type { Pacer } from './pacer.ts';
import { type Batch, type ReadBatch, readBatches } from './read-batches.ts';
import type { DiskNode } from './scan-directory.ts';
import type { FileContent } from './store-contents.ts';
import { startThread, threadsAtOnce } from './thread.ts';

/** What threads take to start pays from about here on: with fewer files they cost more processor time than they save. */
const many = { files: 16_000, bytes: 128 * 1024 * 1024 };
const [batchBytes, batchFiles] = [4 * 1024 * 1024, 1_024];
/** While one is read the one before is written. */
const batchesPerThread = 3;
const columns = 5;

interface StoreWork {
  readonly index: BlobIndex;
  readonly pack: PackWriter;
  readonly pacer: Pacer;
}

/** Memory of a thread that a batch can be read into. */
interface Place {
  readonly worker: Worker;
  readonly memory: ArrayBuffer;
}

/**
 * Stores many small files, read and hashed in threads while more are found, unless the store has them. Few files are left to whoever
 * asks, as are large ones, those that changed since they were scanned, and those that cannot be read.
 */
export class ThreadedReader implements AsyncDisposable {
  readonly #root: BytePath;
  readonly #flags: number;
  readonly #work: StoreWork;
  readonly #least: typeof many;
  readonly #contents = new Map<DiskNode, FileContent>();
  #next: DiskNode[] = [];
  #nextBytes = 0;
  #files = 0;
  #bytes = 0;
  readonly #waiting: DiskNode[][] = [];
  /** The threads that live, and what each is reading. */
  readonly #reading = new Map<Worker, Map<number, DiskNode[]>>();
  readonly #places: Place[] = [];
  #count = 0;
  #isStarted = false;
  #isOver = false;
  readonly #over = Promise.withResolvers<void>();

  /**
   * @param flags how files are opened
   * @param least from so many files or bytes on threads are started
   */
  constructor(root: BytePath, flags: number, work: StoreWork, least = many) {
    [this.#root, this.#flags, this.#work, this.#least] = [root, flags, work, least];
    this.#over.promise.catch(() => undefined);
  }

  /** Takes a regular file. */
  offer(node: DiskNode): void {
    if (node.size > smallFileBytes) return;
    if (this.#nextBytes + node.size > batchBytes || this.#next.length === batchFiles) this.#enqueue();
    this.#next.push(node);
    this.#nextBytes += node.size;
    this.#files += 1;
    this.#bytes += node.size;
  }

  /** What the files hold that were read. */
  async finish(): Promise<ReadonlyMap<DiskNode, FileContent>> {
    if (this.#isMany()) {
      this.#enqueue();
      this.#isOver = true;
      this.#advance();
      await this.#over.promise;
    }
    return this.#contents;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const workers = [...this.#reading.keys()];
    for (const worker of workers) worker.removeAllListeners('message').on('error', () => undefined);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  #isMany(): boolean {
    return threadsAtOnce() > 1 && (this.#files >= this.#least.files || this.#bytes >= this.#least.bytes);
  }

  #enqueue(): void {
    if (this.#next.length > 0) this.#waiting.push(this.#next);
    [this.#next, this.#nextBytes] = [[], 0];
    if (!this.#isStarted && this.#isMany()) this.#start();
    this.#advance();
  }

  #start(): void {
    this.#isStarted = true;
    for (let count = threadsAtOnce(); count > 0; count -= 1) {
      const worker = startThread(readBatches, { root: this.#root, flags: this.#flags });
      this.#reading.set(worker, new Map());
      worker.on('message', (batch: ReadBatch) => this.#take(worker, batch));
      // What it was reading is left to whoever asks.
      worker.once('error', () => this.#lose(worker));
      worker.once('exit', () => this.#lose(worker));
      for (let place = 0; place < batchesPerThread; place += 1)
        this.#places.unshift({ worker, memory: new ArrayBuffer(batchBytes) });
    }
  }

  #advance(): void {
    while (this.#waiting.length > 0) {
      const place = this.#places.pop();
      if (place === undefined) break;
      const reading = this.#reading.get(place.worker);
      const files = reading && this.#waiting.shift();
      if (files === undefined) continue;
      this.#count += 1;
      reading?.set(this.#count, files);
      const batch = batchOf(this.#count, files, place.memory);
      place.worker.postMessage(batch, [batch.memory, batch.facts.buffer as ArrayBuffer]);
    }
    const isIdle = this.#waiting.length === 0 && [...this.#reading.values()].every(({ size }) => size === 0);
    if (this.#isOver && (isIdle || this.#reading.size === 0)) this.#over.resolve();
  }

  #take(worker: Worker, batch: ReadBatch): void {
    try {
      const reading = this.#reading.get(worker);
      const written = this.#store(batch, reading?.get(batch.id) ?? []);
      reading?.delete(batch.id);
      void written.then(() => {
        this.#places.push({ worker, memory: batch.memory });
        this.#advance();
      });
      this.#advance();
    } catch (error) {
      this.#over.reject(error);
    }
    this.#work.pacer.rest().catch((error: unknown) => this.#over.reject(error));
  }

  #lose(worker: Worker): void {
    this.#reading.delete(worker);
    this.#advance();
  }

  /** Puts what the store lacks of a batch into the pack. @returns once the memory of the batch is free again */
  #store({ memory, digests, lengths }: ReadBatch, files: readonly DiskNode[]): Promise<void> {
    const { index, pack } = this.#work;
    const sums = Buffer.from(digests.buffer);
    const bytes = Buffer.from(memory);
    const kept = new Map<string, { readonly from: number; readonly to: number }>();
    let [at, used] = [0, 0];
    for (const [number, node] of files.entries()) {
      const size = lengths[number] ?? -1;
      if (size < 0) continue;
      const digest = sums.toString('hex', number * 32, (number + 1) * 32);
      this.#contents.set(node, { digest, size, stable: true });
      if (!index.has(digest) && !pack.has(digest) && !kept.has(digest)) {
        if (used !== at) bytes.copyWithin(used, at, at + size);
        kept.set(digest, { from: used, to: used + size });
        used += size;
      }
      at += size;
    }
    const { position, written } = pack.lend(bytes.subarray(0, used));
    for (const [digest, { from, to }] of kept) pack.record(digest, position + from, position + to);
    return written;
  }
}

function batchOf(id: number, files: readonly DiskNode[], memory: ArrayBuffer): Batch {
  const facts = new Float64Array(files.length * columns);
  for (const [number, { size, mtimeMs, ctimeMs, dev, ino }] of files.entries())
    facts.set([size, mtimeMs, ctimeMs, dev, ino], number * columns);
  return { id, paths: files.map(({ path }) => path).join('\0'), facts, memory };
}
