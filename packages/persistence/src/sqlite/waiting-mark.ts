import { closeSync, openSync, statSync, utimesSync } from 'node:fs';

const freshForMs = 25;

/**
 * A file whose time says that some process is waiting to write, so that whoever writes again and again makes room.
 * SQLite itself has no queue: without this the one who unlocks is the one who locks next.
 */
export class WaitingMark {
  readonly #file: string;

  constructor(databasePath: string) {
    this.#file = `${databasePath}-waiting`;
  }

  raise(): void {
    const now = new Date();
    try {
      utimesSync(this.#file, now, now);
    } catch {
      this.#create();
    }
  }

  isRaised(): boolean {
    const time = statSync(this.#file, { throwIfNoEntry: false })?.mtimeMs;
    return time !== undefined && Math.abs(Date.now() - time) < freshForMs;
  }

  /** A mark that cannot be made costs fairness, nothing else. */
  #create(): void {
    try {
      closeSync(openSync(this.#file, 'a', 0o600));
    } catch {
      return;
    }
  }
}
