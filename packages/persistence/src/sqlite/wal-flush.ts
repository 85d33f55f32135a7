import { closeSync, fdatasyncSync, openSync, realpathSync } from 'node:fs';
import { OpencodeToolsError } from '@opencode-tools/core';

/**
 * Flushes what was committed to the write-ahead log. SQLite's own flush is an `fsync`, which also writes the times of the
 * file: where the file system keeps a journal this takes about twice as long as `fdatasync`, which writes the data and a size
 * that has changed.
 */
export class WalFlush {
  readonly #databasePath: string;
  readonly #flushFile: (descriptor: number) => void;
  #descriptor: number | undefined;
  #failure: OpencodeToolsError | undefined;

  /**
   * @param databasePath of a database in WAL mode that the caller keeps open: its log stays the same file for so long
   * @param flushFile brings the data of an open file to the disk
   */
  constructor(databasePath: string, flushFile: (descriptor: number) => void = fdatasyncSync) {
    this.#databasePath = realpathSync(databasePath);
    this.#flushFile = flushFile;
  }

  /**
   * When it returns, all that was committed before is on disk. After it has failed once it never returns: the system tells of what it
   * could not write only once, and what is behind that in the log is not found again either.
   *
   * @throws OpencodeToolsError `OCT_STORE_UNAVAILABLE`
   */
  flush(): void {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      this.#descriptor ??= openSync(`${this.#databasePath}-wal`, 'r+');
      this.#flushFile(this.#descriptor);
    } catch (cause) {
      this.#failure = new OpencodeToolsError(
        'OCT_STORE_UNAVAILABLE',
        `What was written to the registry ${this.#databasePath} may not have reached the disk`,
        {
          remedy: 'See what the system says of the disk, begin a new process, and look whether the change is there.',
          details: { location: this.#databasePath },
          cause,
        },
      );
      throw this.#failure;
    }
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}
