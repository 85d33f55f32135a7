import { type WriteStream, constants, createWriteStream, mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { EgressDecision, EgressRequest } from '@opencode-tools/core';
import { decisionLine } from '../decision-line.ts';

const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;
const longestLog = 8 * 1024 ** 2;
/** Lines that wait for the disk at most; a client that fills the log faster is told no, unlogged. */
const mostWaiting = 1024 ** 2;

/** The decisions about one task, one line each. At 8 MiB the file is kept aside once, so that a flood fills no disk. */
export class DecisionLog {
  readonly #file: string;
  #stream: WriteStream | undefined;
  #bytes = 0;
  #dropped = 0;

  constructor(directory: string, taskId: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#file = join(directory, `${taskId}.jsonl`);
  }

  add(via: string, request: EgressRequest, decision: EgressDecision): void {
    const stream = this.#writable();
    if (stream.writableLength > mostWaiting) {
      this.#dropped += 1;
      return;
    }
    const line = decisionLine(new Date().toISOString(), request, decision, via);
    const lost =
      this.#dropped === 0 ? '' : `${JSON.stringify({ at: new Date().toISOString(), lost: this.#dropped })}\n`;
    this.#dropped = 0;
    this.#bytes += line.length + lost.length;
    stream.write(lost + line);
  }

  close(): void {
    this.#stream?.end();
    this.#stream = undefined;
  }

  #writable(): WriteStream {
    if (this.#stream !== undefined && this.#bytes < longestLog) return this.#stream;
    this.#stream?.end();
    this.#bytes = sizeOf(this.#file);
    if (this.#bytes >= longestLog) {
      renameSync(this.#file, `${this.#file}.1`);
      this.#bytes = 0;
    }
    const stream = createWriteStream(this.#file, { flags: flags as unknown as string, mode: 0o600 });
    stream.on('error', () => {
      this.#dropped += 1;
      if (this.#stream === stream) this.#stream = undefined;
    });
    this.#stream = stream;
    return stream;
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
