import { closeSync, fdatasyncSync, openSync } from 'node:fs';
import { OpencodeToolsError } from '@opencode-tools/core';

/**
 * Flushes what was committed to the write-ahead log. SQLite's own flush is an `fsync`, which also writes the times of the
 * file: where the file system keeps a journal this costs several times as much as `fdatasync`, which writes the data and a
 * size that has changed.
 */
export class WalFlush {
  readonly #databasePath: string;
  #descriptor: number | undefined;

  /** @param databasePath of a database in WAL mode that the caller keeps open: its log stays the same file for so long */
  constructor(databasePath: string) {
    this.#databasePath = databasePath;
  }

  /**
   * When it returns, all that was committed before is on disk.
   *
   * @throws OpencodeToolsError `OCT_STORE_UNAVAILABLE`
   */
  flush(): void {
    try {
      this.#descriptor ??= openSync(`${this.#databasePath}-wal`, 'r+');
      fdatasyncSync(this.#descriptor);
    } catch (cause) {
      throw new OpencodeToolsError(
        'OCT_STORE_UNAVAILABLE',
        `What was written to the registry ${this.#databasePath} may not have reached the disk`,
        {
          remedy: 'See what the system says of the disk, then look whether the change is there before trying again.',
          details: { location: this.#databasePath },
          cause,
        },
      );
    }
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}
