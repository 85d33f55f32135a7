import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import type { BellAddress } from './bell.ts';
import { canRun } from './process-state.ts';

/** A place in the line: where the ticket lies in the file, and what proves that it is ours. */
export interface Ticket {
  readonly offset: number;
  readonly nonce: bigint;
}

const ticketBytes = 32;
const stateAt = 0;
/** How long its owner's turn is, in 256ths of a transaction; an older version says 0. */
const lengthAt = 2;
const pidAt = 4;
const nonceAt = 8;
const timeAt = 16;
/** A ticket of an older version says 0: its owner has no bell. */
const bellAt = 24;
/** Its time is when the owner left, unless it was struck out. */
const done = 0;
/** Its time is when the owner last looked. */
const waiting = 1;
/** Its time is when the slice ends. */
const holding = 2;
/** A waiter that has not looked for this long is stopped, dead or stuck: others go past it. */
const staleMs = 250;
/** A waiter that has not looked for this long is looked at: one that is gone or stopped need not be waited for. */
const suspectMs = 60;
const longestSliceMs = 1_000;
const largestBytes = 256 * 1024;
const lengthUnits = 256;

/**
 * The line of processes that wait to write one database, kept in a file beside it: a ticket is a record of 32 bytes, its
 * place is where the append put it. It orders, it does not lock: SQLite's own lock decides, so a ticket that is lost or
 * passed over costs its owner the place and nothing else. Nothing here waits.
 */
export class TurnFile {
  readonly #path: string;
  #file: number | null = null;
  #appender: number | null = null;
  #unusable = false;
  /** Everything before it is done. */
  #from = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** True when some live process waits or writes. */
  someoneWaits(): boolean {
    return this.#attempt(() => this.#waitingBefore(this.#size()) > 0, false);
  }

  /**
   * Takes a place at the end of the line. Null where no file can be kept.
   *
   * @param bell what to ring when it is the owner's turn; 0 for nothing
   */
  take(bell = 0n): Ticket | null {
    return this.#attempt(() => {
      const nonce = randomBytes(8).readBigUInt64LE();
      const ticket = Buffer.alloc(ticketBytes);
      ticket[stateAt] = waiting;
      ticket.writeUInt32LE(process.pid, pidAt);
      ticket.writeBigUInt64LE(nonce, nonceAt);
      ticket.writeDoubleLE(Date.now(), timeAt);
      ticket.writeBigUInt64LE(bell, bellAt);
      writeSync(this.#open().appender, ticket);
      for (let offset = this.#size() - ticketBytes; offset >= 0; offset -= ticketBytes) {
        if (this.#read(offset)?.readBigUInt64LE(nonceAt) === nonce) return { offset, nonce };
      }
      return null;
    }, null);
  }

  /** Says that the owner still waits, and tells how many wait before it; null when the ticket is lost. */
  look(ticket: Ticket): number | null {
    return this.#attempt(() => {
      const own = this.#read(ticket.offset);
      if (own === null || own[stateAt] !== waiting || own.readBigUInt64LE(nonceAt) !== ticket.nonce) return null;
      this.#writeTime(ticket, Date.now());
      return this.#waitingBefore(ticket.offset);
    }, 0);
  }

  /** The turn of whoever stood right before: how long ago it was left, and its length when it says one. */
  turnBefore(ticket: Ticket): { readonly leftForMs: number; readonly length: number | null } | null {
    return this.#attempt(() => {
      const before = ticket.offset === 0 ? null : this.#read(ticket.offset - ticketBytes);
      if (before?.[stateAt] !== done) return null;
      const length = before.readUInt16LE(lengthAt) / lengthUnits;
      const leftForMs = Math.max(0, preciseNowMs() - before.readDoubleLE(timeAt));
      return { leftForMs, length: length === 0 ? null : length };
    }, null);
  }

  /**
   * Keeps those behind waiting for this long, while the owner writes.
   *
   * @param length how many transactions the turn has, from 0 to 255, not rounded: for those who come after
   */
  hold(ticket: Ticket, forMs: number, length = 0): void {
    this.#attempt(() => {
      this.#writeTime(ticket, Date.now() + forMs);
      const head = Buffer.from([holding, 0, 0, 0]);
      head.writeUInt16LE(Math.round(length * lengthUnits), lengthAt);
      writeSync(this.#open().file, head, 0, pidAt, ticket.offset);
    }, undefined);
  }

  /** Gives a place up. @returns whom to tell: the next in line; all of them when the line has to form anew */
  leave(ticket: Ticket): readonly BellAddress[] {
    return this.#attempt(() => {
      const own = this.#read(ticket.offset);
      const isOwn = own !== null && own.readBigUInt64LE(nonceAt) === ticket.nonce;
      if (isOwn) {
        this.#writeTime(ticket, preciseNowMs());
        this.#writeState(ticket.offset, done);
      }
      const next = this.#addresses();
      if (ticket.offset <= largestBytes) return next.slice(0, 1);
      ftruncateSync(this.#open().file);
      return next;
    }, []);
  }

  close(): void {
    for (const descriptor of [this.#file, this.#appender]) if (descriptor !== null) closeSync(descriptor);
    this.#file = null;
    this.#appender = null;
    this.#unusable = true;
  }

  /** Who is in line, in order. */
  #addresses(): readonly BellAddress[] {
    if (this.#waitingBefore(this.#size()) === 0) return [];
    const bytes = Buffer.allocUnsafe(this.#size() - this.#from);
    const read = readSync(this.#open().file, bytes, 0, bytes.length, this.#from);
    const found: BellAddress[] = [];
    for (let at = 0; at + ticketBytes <= read; at += ticketBytes) {
      if (bytes[at + stateAt] === done) continue;
      found.push({ pid: bytes.readUInt32LE(at + pidAt), id: bytes.readBigUInt64LE(at + bellAt) });
    }
    return found;
  }

  /** Counts who waits before `end`. Those in front that are gone are struck out; the others are seen to later. */
  #waitingBefore(end: number): number {
    if (end < this.#from) this.#from = 0;
    const bytes = Buffer.allocUnsafe(end - this.#from);
    const read = bytes.length === 0 ? 0 : readSync(this.#open().file, bytes, 0, bytes.length, this.#from);
    const base = this.#from;
    let found = 0;
    for (let at = 0; at + ticketBytes <= read; at += ticketBytes) {
      const state = bytes[at + stateAt];
      if (found > 0) found += state === done ? 0 : 1;
      else if (state === done || isGone(bytes, at)) {
        if (state !== done) this.#writeState(base + at, done);
        this.#from = base + at + ticketBytes;
      } else found = 1;
    }
    return found;
  }

  #writeState(offset: number, state: number): void {
    writeSync(this.#open().file, Uint8Array.of(state), 0, 1, offset + stateAt);
  }

  #writeTime(ticket: Ticket, ms: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(ms);
    writeSync(this.#open().file, bytes, 0, 8, ticket.offset + timeAt);
  }

  #read(offset: number): Buffer | null {
    const bytes = Buffer.allocUnsafe(ticketBytes);
    return readSync(this.#open().file, bytes, 0, ticketBytes, offset) === ticketBytes ? bytes : null;
  }

  #size(): number {
    return fstatSync(this.#open().file).size;
  }

  #open(): { readonly file: number; readonly appender: number } {
    this.#appender ??= openSync(this.#path, 'a', 0o600);
    this.#file ??= openSync(this.#path, 'r+');
    return { file: this.#file, appender: this.#appender };
  }

  /** A line that cannot be kept costs fairness, nothing else. */
  #attempt<T>(work: () => T, otherwise: T): T {
    if (this.#unusable) return otherwise;
    try {
      return work();
    } catch {
      this.#unusable = true;
      return otherwise;
    }
  }
}

/** Finer than the clock's milliseconds; the same for all processes of a machine. */
function preciseNowMs(): number {
  return performance.timeOrigin + performance.now();
}

function isGone(tickets: Buffer, at: number): boolean {
  const sinceMs = Date.now() - tickets.readDoubleLE(at + timeAt);
  if (tickets[at + stateAt] === holding) return sinceMs >= 0 || sinceMs < -longestSliceMs;
  if (sinceMs >= staleMs || sinceMs < -staleMs) return true;
  return sinceMs >= suspectMs && !canRun(tickets.readUInt32LE(at + pidAt));
}
