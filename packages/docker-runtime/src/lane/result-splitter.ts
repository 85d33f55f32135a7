const recordSeparator = '\u001e';
const newline = 10;
const longestResult = 256;

interface Waiter {
  readonly mark: Buffer;
  readonly onData: (chunk: Buffer) => void;
  readonly resolve: (result: string) => void;
  readonly reject: (error: Error) => void;
}

/**
 * One stream of a lane: passes bytes on until the result line of the awaited nonce, which it returns. Holds back no more
 * bytes than could be the beginning of that line.
 */
export class ResultSplitter {
  #held: Buffer = Buffer.alloc(0);
  #waiter: Waiter | undefined;
  #failure: Error | undefined;

  /** Waits for the result of a nonce; bytes before it go to `onData`, bytes that nobody waits for are dropped. */
  async expect(nonce: string, onData: (chunk: Buffer) => void): Promise<string> {
    if (this.#failure) throw this.#failure;
    return new Promise<string>((resolve, reject) => {
      this.#waiter = { mark: Buffer.from(`${recordSeparator}${nonce} `), onData, resolve, reject };
    });
  }

  push(chunk: Buffer): void {
    const waiter = this.#waiter;
    if (!waiter) return;
    const bytes = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
    const start = bytes.indexOf(waiter.mark);
    if (start >= 0) {
      this.#finish(waiter, bytes, start);
      return;
    }
    const keep = heldBack(bytes, waiter.mark);
    this.#held = Buffer.from(bytes.subarray(bytes.length - keep));
    if (bytes.length > keep) waiter.onData(bytes.subarray(0, bytes.length - keep));
  }

  fail(error: Error): void {
    this.#failure ??= error;
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (waiter && this.#held.length > 0) waiter.onData(this.#held);
    this.#held = Buffer.alloc(0);
    waiter?.reject(error);
  }

  #finish(waiter: Waiter, bytes: Buffer, start: number): void {
    const end = bytes.indexOf(newline, start);
    if (start > 0) waiter.onData(bytes.subarray(0, start));
    if (end < 0) {
      this.#held = Buffer.from(bytes.subarray(start));
      if (this.#held.length > longestResult) this.fail(new Error('Result line without an end'));
      return;
    }
    this.#held = Buffer.alloc(0);
    this.#waiter = undefined;
    waiter.resolve(bytes.subarray(start + waiter.mark.length, end).toString('utf8'));
  }
}

/** Length of the longest end of the bytes that is a beginning of the mark. */
function heldBack(bytes: Buffer, mark: Buffer): number {
  const from = Math.max(0, bytes.length - mark.length + 1);
  const start = bytes.indexOf(mark[0] ?? 0, from);
  for (let index = start; index >= 0 && index < bytes.length; index = bytes.indexOf(mark[0] ?? 0, index + 1)) {
    if (bytes.subarray(index).equals(mark.subarray(0, bytes.length - index))) return bytes.length - index;
  }
  return 0;
}
