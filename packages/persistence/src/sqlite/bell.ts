import { type FSWatcher, closeSync, openSync, readdirSync, rmSync, watch, writeSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { canRun } from './process-state.ts';

/** Which process's bell: what a ticket says of its owner. */
export interface BellAddress {
  readonly pid: number;
  /** 0 for a process without a bell. */
  readonly id: bigint;
}

/**
 * Lets a process that waits be woken by another at once, instead of looking again and again: a small file beside the
 * database that its owner watches and whoever wakes it writes to. A ring is a hint. One that is lost, or a file system
 * that cannot be watched, costs the time until the next look.
 */
export class Bell {
  readonly #prefix: string;
  #id = 0n;
  #watcher: FSWatcher | null = null;
  #unusable = false;
  #rung = false;
  #wake: (() => void) | null = null;

  /** @param prefix path that the names of all bells of one line begin with */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** The own bell, hung up when it is first asked for; 0 where none can be. */
  id(): bigint {
    if (this.#watcher === null && !this.#unusable) this.#hang();
    return this.#id;
  }

  ring({ pid, id }: BellAddress): void {
    if (id === 0n || id === this.#id) return;
    try {
      const file = openSync(this.#nameOf(pid, id), 'r+');
      try {
        writeSync(file, '!', 0);
      } finally {
        closeSync(file);
      }
    } catch {
      // Its owner is gone, or looks by itself.
    }
  }

  /** Resolves to true at the next ring, or at once for one since the last call, and to false after `limitMs`. */
  async heard(limitMs: number): Promise<boolean> {
    if (!this.#rung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, limitMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#wake = null;
    const wasRung = this.#rung;
    this.#rung = false;
    return wasRung;
  }

  close(): void {
    this.#takeDown();
    this.#unusable = true;
  }

  #hang(): void {
    const id = randomBytes(8).readBigUInt64LE() | 1n;
    const file = this.#nameOf(process.pid, id);
    try {
      this.#sweep();
      closeSync(openSync(file, 'wx', 0o600));
      this.#id = id;
      this.#watcher = watch(file, { persistent: false }, (event) => this.#on(event));
      this.#watcher.on('error', () => this.#giveUp());
    } catch {
      this.#giveUp();
    }
  }

  /** A file that somebody has removed rings no more: the next to ask hangs up another. */
  #on(event: string): void {
    if (event === 'rename') this.#takeDown();
    this.#rung = true;
    this.#wake?.();
  }

  #giveUp(): void {
    this.#takeDown();
    this.#unusable = true;
  }

  #takeDown(): void {
    this.#watcher?.close();
    this.#watcher = null;
    if (this.#id !== 0n) rmSync(this.#nameOf(process.pid, this.#id), { force: true });
    this.#id = 0n;
  }

  /** Removes the bells of processes that were killed. */
  #sweep(): void {
    const [directory, prefix] = [path.dirname(this.#prefix), path.basename(this.#prefix)];
    for (const name of readdirSync(directory)) {
      if (!name.startsWith(prefix)) continue;
      const pid = Number(name.slice(prefix.length).split('-', 1)[0]);
      if (pid > 0 && !canRun(pid, 'stopped too')) rmSync(path.join(directory, name), { force: true });
    }
  }

  #nameOf(pid: number, id: bigint): string {
    return `${this.#prefix}${pid}-${id.toString(16)}`;
  }
}
