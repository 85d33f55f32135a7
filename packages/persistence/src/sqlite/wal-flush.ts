import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  realpathSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { setImmediate } from 'node:timers';
import { OpencodeToolsError } from '@opencode-tools/core';

/** How the data of an open file are brought to the disk. */
export interface FileFlush {
  now(descriptor: number): void;
  meanwhile(descriptor: number, done: (error: Error | null) => void): void;
}

/** What a process that only does one thing never comes to. */
const fewChanges = 8;
const roomBytes = 512 * 1024;
/** As long as the log becomes before SQLite begins again at its front (1,000 pages), and somewhat more. */
const mostRoomBytes = 4.5 * 1024 ** 2;
/** A disk with less free keeps it for what there is to write. */
const leastFreeBytes = 256 * 1024 ** 2;
const systemFlush: FileFlush = { now: fdatasyncSync, meanwhile: fdatasync };

/**
 * Flushes what was committed to the write-ahead log. SQLite's own flush is an `fsync`, which also writes the times of the
 * file: where the file system keeps a journal this takes about twice as long as `fdatasync`, which writes the data and a size
 * that has changed. Whoever changes much has room made ahead in the log, since a size that does not change halves it again.
 */
export class WalFlush {
  readonly #databasePath: string;
  readonly #file: FileFlush;
  /** One for each way to flush: the system tells each open file once of what it could not write. */
  readonly #descriptors: { now?: number; meanwhile?: number } = {};
  readonly #waiting: (() => void)[] = [];
  #failure: OpencodeToolsError | undefined;
  #flushing = false;
  #again = false;
  #changes = 0;
  #hasRoom = false;

  /**
   * @param databasePath of a database in WAL mode that the caller keeps open: its log stays the same file for so long
   * @param file brings the data of an open file to the disk
   */
  constructor(databasePath: string, file: FileFlush = systemFlush) {
    this.#databasePath = realpathSync(databasePath);
    this.#file = file;
  }

  /**
   * When it returns, all that was committed before is on disk. After it has failed once it never returns: the system tells of what it
   * could not write only once, and what is behind that in the log is not found again either.
   *
   * @throws OpencodeToolsError `OCT_STORE_UNAVAILABLE`
   */
  flush(): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#again = false;
    try {
      this.#file.now(this.#open('now'));
    } catch (cause) {
      throw this.#fail(cause);
    }
  }

  /** Begins to flush all that was committed before. A failure is thrown by every later `flush`. */
  flushMeanwhile(): void {
    this.#again = true;
    if (this.#flushing || this.#failure !== undefined) return;
    this.#flushing = true;
    // Whoever has been answered goes on first: handing over to another thread can take longer than what it does next.
    setImmediate(() => this.#flushNext());
  }

  /** Resolves when no flush is on its way. */
  async flushed(): Promise<void> {
    if (this.#flushing) await new Promise<void>((resolve) => void this.#waiting.push(resolve));
  }

  /**
   * For whoever has the right to write, before what is to be flushed is written. The system tells of what it could not write only those who
   * had the file open by then.
   */
  prepare(): void {
    try {
      this.#open('now');
      this.#open('meanwhile');
      this.#makeRoom();
    } catch {
      // Before the first change of all there is no log; and a flush says what is wrong with it.
    }
  }

  close(): void {
    for (const descriptor of Object.values(this.#descriptors)) closeSync(descriptor);
    delete this.#descriptors.now;
    delete this.#descriptors.meanwhile;
  }

  /**
   * Lets the log be longer than what SQLite has written to it, which reads no further than to the first frame that is none. Nobody else may
   * write behind the end meanwhile.
   */
  #makeRoom(): void {
    this.#changes += 1;
    if (this.#hasRoom || this.#changes < fewChanges) return;
    const descriptor = this.#open('now');
    const { size } = fstatSync(descriptor);
    if (size > 0) this.#hasRoom = size >= mostRoomBytes || this.#diskIsFull() || !lengthen(descriptor, size);
  }

  #diskIsFull(): boolean {
    const { bavail, bsize } = statfsSync(this.#databasePath);
    return bavail * bsize < leastFreeBytes;
  }

  #flushNext(): void {
    const done = (error: Error | null): void => {
      if (error !== null) this.#fail(error);
      if (error === null && this.#again) return this.#flushNext();
      this.#flushing = false;
      for (const resolve of this.#waiting.splice(0)) resolve();
    };
    if (!this.#again) return done(null);
    this.#again = false;
    try {
      this.#file.meanwhile(this.#open('meanwhile'), done);
    } catch (cause) {
      done(cause instanceof Error ? cause : new Error(String(cause)));
    }
  }

  #open(way: 'now' | 'meanwhile'): number {
    return (this.#descriptors[way] ??= openSync(`${this.#databasePath}-wal`, 'r+'));
  }

  #fail(cause: unknown): OpencodeToolsError {
    this.#failure ??= new OpencodeToolsError(
      'OCT_STORE_UNAVAILABLE',
      `What was written to the registry ${this.#databasePath} may not have reached the disk`,
      {
        remedy: 'See what the system says of the disk, begin a new process, and look whether the change is there.',
        details: { location: this.#databasePath },
        cause,
      },
    );
    return this.#failure;
  }
}

/** Whether it could. A full disk keeps what it had left. */
function lengthen(descriptor: number, size: number): boolean {
  try {
    const written = writeSync(descriptor, Buffer.alloc(roomBytes), 0, roomBytes, size);
    if (written === roomBytes) return true;
  } catch {
    // Cut off again below.
  }
  ftruncateSync(descriptor, size);
  return false;
}
