const headerLength = 8;
const stderrType = 2;

/** Takes the engine's multiplexed stream apart; chunks are passed on as they come, however the engine cut them. */
export class Demultiplexer {
  readonly #onStdout: (chunk: Buffer) => void;
  readonly #onStderr: (chunk: Buffer) => void;
  #header = Buffer.alloc(0);
  #remaining = 0;
  #toStderr = false;

  constructor(onStdout: (chunk: Buffer) => void, onStderr: (chunk: Buffer) => void) {
    this.#onStdout = onStdout;
    this.#onStderr = onStderr;
  }

  push(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) rest = this.#remaining > 0 ? this.#takeBody(rest) : this.#takeHeader(rest);
  }

  #takeBody(chunk: Buffer): Buffer {
    const body = chunk.subarray(0, this.#remaining);
    this.#remaining -= body.length;
    (this.#toStderr ? this.#onStderr : this.#onStdout)(body);
    return chunk.subarray(body.length);
  }

  #takeHeader(chunk: Buffer): Buffer {
    const missing = headerLength - this.#header.length;
    this.#header = Buffer.concat([this.#header, chunk.subarray(0, missing)]);
    if (this.#header.length === headerLength) {
      this.#toStderr = this.#header[0] === stderrType;
      this.#remaining = this.#header.readUInt32BE(4);
      this.#header = Buffer.alloc(0);
    }
    return chunk.subarray(missing);
  }
}
