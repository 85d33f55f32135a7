import {
  type WriteStream,
  closeSync,
  constants,
  createWriteStream,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { EgressDecision, EgressRequest } from '@opencode-tools/core';
import { decisionLine } from '../decision-line.ts';

const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;
const longestLog = 8 * 1024 ** 2;
/** Lines that wait for the disk at most; a client that fills the log faster is told no, unlogged. */
const mostWaiting = 1024 ** 2;

interface Opened {
  readonly stream: WriteStream;
  readonly descriptor: number;
}

/**
 * The decisions about one task, one line each. At 8 MiB the file is kept aside once, so that a flood fills no disk. A denial is in the
 * file before its client hears of it: whoever ran that client reads the log next.
 */
export class DecisionLog {
  readonly #file: string;
  #opened: Opened | undefined;
  #bytes = 0;
  #dropped = 0;

  constructor(directory: string, taskId: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#file = join(directory, `${taskId}.jsonl`);
  }

  add(via: string, request: EgressRequest, decision: EgressDecision): void {
    try {
      this.#add(decisionLine(new Date().toISOString(), request, decision, via), !decision.allowed);
    } catch {
      this.#dropped += 1;
    }
  }

  close(): void {
    this.#opened?.stream.end();
    this.#opened = undefined;
  }

  #add(line: string, atOnce: boolean): void {
    const { stream, descriptor } = this.#open();
    if (!atOnce && stream.writableLength > mostWaiting) {
      this.#dropped += 1;
      return;
    }
    const lost =
      this.#dropped === 0 ? '' : `${JSON.stringify({ at: new Date().toISOString(), lost: this.#dropped })}\n`;
    if (atOnce) writeSync(descriptor, lost + line);
    else stream.write(lost + line);
    this.#dropped = 0;
    this.#bytes += line.length + lost.length;
  }

  #open(): Opened {
    if (this.#opened !== undefined && this.#bytes < longestLog) return this.#opened;
    this.close();
    this.#bytes = sizeOf(this.#file);
    if (this.#bytes >= longestLog) {
      renameSync(this.#file, `${this.#file}.1`);
      this.#bytes = 0;
    }
    const descriptor = openSync(this.#file, flags, 0o600);
    // Closed by hand: nothing may be written by a number that is another file's by then.
    const opened = { stream: createWriteStream(this.#file, { fd: descriptor, autoClose: false }), descriptor };
    opened.stream.once('finish', () => closeSync(descriptor));
    opened.stream.once('error', () => {
      this.#dropped += 1;
      if (this.#opened === opened) this.#opened = undefined;
      closeSync(descriptor);
    });
    this.#opened = opened;
    return opened;
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
