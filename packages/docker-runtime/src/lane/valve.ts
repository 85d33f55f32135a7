import type { OutputHandler } from '@opencode-tools/core';

/** What can be held back: a stream. */
interface Held {
  pause(): unknown;
  resume(): unknown;
}

/** Holds a stream back while somebody still deals with what came out of it. */
export class Valve {
  readonly #stream: Held;
  #pending = 0;
  #released = false;

  constructor(stream: Held) {
    this.#stream = stream;
  }

  /** Gives chunks to a handler; the stream pauses until the promise that it may return has settled either way. */
  through(handler: OutputHandler): (chunk: Uint8Array) => void {
    return (chunk) => {
      const dealing = handler(chunk);
      if (!(dealing instanceof Promise) || this.#released) return;
      this.#pending += 1;
      this.#stream.pause();
      const dealt = (): void => {
        this.#pending -= 1;
        if (this.#pending === 0 && !this.#released) this.#stream.resume();
      };
      dealing.then(dealt, dealt);
    };
  }

  /** From now on nothing is held back. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    if (this.#pending > 0) this.#stream.resume();
  }
}
