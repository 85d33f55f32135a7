import { closeSync, openSync, readSync } from 'node:fs';

const windowBytes = 256 * 1024;
/** What is read next lies this close behind what was read last, when a pack is read in its order. */
const mostGapBytes = 64 * 1024;

/** A pack that is open for reading. What is read in the order of the pack comes from few large reads. */
export class PackFile implements Disposable {
  readonly #file: number;
  readonly #hasWindow: boolean;
  #window: Buffer | undefined;
  #from = 0;
  #length = 0;
  #next = Number.NaN;

  /** @param hasWindow false saves the memory of reading ahead */
  constructor(path: string, hasWindow: boolean) {
    this.#file = openSync(path, 'r');
    this.#hasWindow = hasWindow;
  }

  /** Fills a buffer with what is at a position. @returns false when the pack ends before */
  read(buffer: Buffer, position: number): boolean {
    const isNext = position >= this.#next && position - this.#next <= mostGapBytes;
    this.#next = position + buffer.length;
    if (this.#isInWindow(buffer, position)) return this.#copy(buffer, position);
    if (!isNext || !this.#hasWindow || buffer.length * 2 > windowBytes) {
      return this.#fill(buffer, position) === buffer.length;
    }
    this.#window ??= Buffer.allocUnsafeSlow(windowBytes);
    [this.#from, this.#length] = [position, 0];
    this.#length = this.#fill(this.#window, position);
    return this.#isInWindow(buffer, position) && this.#copy(buffer, position);
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  #isInWindow(buffer: Buffer, position: number): boolean {
    return position >= this.#from && position + buffer.length <= this.#from + this.#length;
  }

  #copy(buffer: Buffer, position: number): true {
    const at = position - this.#from;
    this.#window?.copy(buffer, 0, at, at + buffer.length);
    return true;
  }

  /** @returns how many bytes there are */
  #fill(buffer: Buffer, position: number): number {
    let done = 0;
    while (done < buffer.length) {
      const count = readSync(this.#file, buffer, done, buffer.length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }
}
