import type { ThreadTools } from './thread.ts';

/** What each thread is told. */
export interface BatchesInput {
  readonly root: string;
  /** Paths of the files, with a NUL between them. */
  readonly paths: string;
  /** Of each file what it was when it was scanned: size, times of change in milliseconds, device, inode. */
  readonly facts: Float64Array;
  /** The first file of each batch; last the number of files. */
  readonly bounds: Int32Array;
  /** How many batches were taken, in memory that the threads share. */
  readonly taken: Int32Array;
  /** How files are opened. */
  readonly flags: number;
}

/** A batch that was read. */
export interface ReadBatch {
  readonly batch: number;
  /** The bytes of the files one after the other. */
  readonly memory: ArrayBuffer;
  /** SHA-256 of each file, 32 bytes. */
  readonly digests: Uint8Array;
  /** How long each file is; -1 for what cannot be read, or is not what was scanned. */
  readonly lengths: Int32Array;
}

/**
 * Reads batches of files as long as there are any, each into memory that comes as a message. It runs in a thread that has nothing but
 * its text, so it names nothing from outside of it.
 */
export function readBatches(
  { fs, hash, port }: ThreadTools,
  { root, paths, facts, bounds, taken, flags }: BatchesInput,
): void {
  const names = paths.split('\0');
  const readFile = (file: number, number: number, into: Buffer): boolean => {
    let done = 0;
    while (done < into.length) {
      const count = fs.readSync(file, into, done, into.length - done, done);
      if (count === 0) return false;
      done += count;
    }
    const now = fs.fstatSync(file);
    const is = [now.size, now.mtimeMs, now.ctimeMs, now.dev, now.ino];
    return now.isFile() && is.every((value, at) => facts[number * 5 + at] === value);
  };
  const read = (number: number, into: Buffer): boolean => {
    try {
      const file = fs.openSync(Buffer.from(`${root}/${names[number] ?? ''}`, 'latin1'), flags);
      try {
        return readFile(file, number, into);
      } finally {
        fs.closeSync(file);
      }
    } catch {
      // Whoever reads it next says why it cannot be read.
      return false;
    }
  };
  port.on('message', (memory: ArrayBuffer) => {
    const batch = Atomics.add(taken, 0, 1);
    const [from, to] = [bounds[batch], bounds[batch + 1]];
    if (from === undefined || to === undefined) {
      port.close();
      return;
    }
    const digests = new Uint8Array((to - from) * 32);
    const lengths = new Int32Array(to - from);
    let used = 0;
    for (let number = from; number < to; number += 1) {
      const bytes = Buffer.from(memory, used, facts[number * 5]);
      const isRead = read(number, bytes);
      lengths[number - from] = isRead ? bytes.length : -1;
      if (!isRead) continue;
      digests.set(hash('sha256', bytes, 'buffer'), (number - from) * 32);
      used += bytes.length;
    }
    port.postMessage({ batch, memory, digests, lengths }, [memory]);
  });
}
