import { Unpacker } from './unpacker.ts';

const recordSeparator = '\u001e';
const newline = 0x0a;
const space = 0x20;
const equalsSign = 0x3d;
const longestResult = 256;
const nothing = Buffer.alloc(0);

interface Waiter {
  /** What a result and a packed block begin with, each before a character of its own. */
  readonly mark: Buffer;
  readonly onData: (chunk: Buffer) => void;
  readonly resolve: (result: string) => void;
  readonly reject: (error: Error) => void;
}

/**
 * One stream of a lane: passes bytes on until the result line of the awaited nonce, which it returns. Holds back no more
 * bytes than could be the beginning of that line. Blocks that the supervisor packed are passed on as they were: each begins with the
 * nonce as well, `=`, its two sizes and a newline.
 */
export class ResultSplitter {
  #held: Buffer = nothing;
  #waiter: Waiter | undefined;
  #failure: Error | undefined;
  #unpacker: Unpacker | undefined;
  #later: Buffer[] = [];
  readonly #isFull: () => boolean;

  /** @param isFull whether what was passed on is still dealt with: then what comes is kept for `goOn` */
  constructor(isFull: () => boolean = never) {
    this.#isFull = isFull;
  }

  /** Waits for the result of a nonce; bytes before it go to `onData`, bytes that nobody waits for are dropped. */
  async expect(nonce: string, onData: (chunk: Buffer) => void): Promise<string> {
    if (this.#failure) throw this.#failure;
    return new Promise<string>((resolve, reject) => {
      this.#waiter = { mark: Buffer.from(`${recordSeparator}${nonce}`), onData, resolve, reject };
    });
  }

  push(chunk: Buffer): void {
    if (this.#later.length > 0) this.#later.push(Buffer.from(chunk));
    else this.#takeAll(chunk, (rest) => Buffer.from(rest));
  }

  /** Takes what was kept, until whoever it is passed on to is full again. */
  goOn(): void {
    const later = this.#later;
    this.#later = [];
    for (const chunk of later) {
      if (this.#later.length > 0) this.#later.push(chunk);
      else this.#takeAll(chunk, (rest) => rest);
    }
  }

  fail(error: Error): void {
    this.#failure ??= error;
    this.goOn();
    const waiter = this.#waiter;
    this.#end();
    if (waiter && this.#held.length > 0) waiter.onData(this.#held);
    this.#held = nothing;
    waiter?.reject(error);
  }

  #end(): void {
    this.#waiter = undefined;
    this.#unpacker = undefined;
    this.#later = [];
  }

  #takeAll(chunk: Buffer, toKeep: (rest: Buffer) => Buffer): void {
    let rest = chunk;
    while (rest.length > 0 && this.#waiter !== undefined) {
      if (this.#failure === undefined && this.#isFull()) {
        this.#later.push(toKeep(rest));
        return;
      }
      rest = this.#take(this.#waiter, rest);
    }
  }

  /** @returns what the next is in */
  #take(waiter: Waiter, chunk: Buffer): Buffer {
    try {
      if (this.#unpacker?.isOpen) return this.#unpacker.take(chunk, waiter.onData);
      const bytes = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
      this.#held = nothing;
      const start = bytes.indexOf(waiter.mark);
      if (start === 0) return this.#takeLine(waiter, bytes);
      const end = start > 0 ? start : bytes.length - heldBack(bytes, waiter.mark);
      if (end > 0) waiter.onData(bytes.subarray(0, end));
      if (start > 0) return bytes.subarray(start);
      this.#held = Buffer.from(bytes.subarray(end));
    } catch (error) {
      this.fail(error as Error);
    }
    return nothing;
  }

  /** The bytes begin with the mark, and may be a result, the head of a block, or neither. */
  #takeLine(waiter: Waiter, bytes: Buffer): Buffer {
    const after = waiter.mark.length;
    const kind = bytes[after];
    if (kind !== undefined && kind !== space && kind !== equalsSign) {
      waiter.onData(bytes.subarray(0, after));
      return bytes.subarray(after);
    }
    const end = bytes.indexOf(newline);
    if (end < 0) {
      this.#held = Buffer.from(bytes);
      if (bytes.length > longestResult) this.fail(new Error('Result line without an end'));
      return nothing;
    }
    const line = bytes.toString('utf8', after + 1, end);
    if (kind === space) {
      this.#end();
      waiter.resolve(line);
    } else {
      this.#unpacker ??= new Unpacker();
      this.#unpacker.begin(line);
    }
    return bytes.subarray(end + 1);
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

const never = (): boolean => false;
