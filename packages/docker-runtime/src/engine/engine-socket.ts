import { Agent } from 'node:http';
import { Socket, type TcpNetConnectOpts } from 'node:net';
import type { Duplex } from 'node:stream';
import { inspect } from 'node:util';

/** As much as the kernel holds of what comes in, so that one read takes all of it. */
const memoryBytes = 256 * 1024;

/** Makes the connections to one engine, each with `EngineSocket`. */
export class EngineAgent extends Agent {
  readonly #memory = Buffer.allocUnsafeSlow(memoryBytes);

  constructor() {
    super({ keepAlive: false });
  }

  override createConnection(options: TcpNetConnectOpts): Socket {
    return new EngineSocket(this.#memory).connect(options);
  }

  /** The library that makes requests writes their options down each time, whether anybody reads that or not. */
  [inspect.custom](): string {
    return 'EngineAgent';
  }
}

/** A connection that reads into memory which it shares with others: what is read is dealt with before anything else is read. */
class EngineSocket extends Socket {
  #take: ((bytes: Buffer) => void) | undefined;

  constructor(memory: Buffer) {
    super({ onread: { buffer: memory, callback: (size) => this.#pass(memory.subarray(0, size)) } });
  }

  giveTo(take: (bytes: Buffer) => void): void {
    for (let bytes: Buffer | null; (bytes = this.read() as Buffer | null) !== null;) take(bytes);
    this.#take = take;
    this.resume();
  }

  #pass(bytes: Buffer): boolean {
    if (this.#take === undefined) return this.push(Buffer.from(bytes));
    this.#take(bytes);
    return true;
  }
}

/**
 * Gives what comes over a connection to one taker, by the shortest way that the connection knows. The bytes stay as they are until
 * the taker returns.
 */
export function takeBytes(stream: Duplex, take: (bytes: Buffer) => void): void {
  if (stream instanceof EngineSocket) stream.giveTo(take);
  else stream.on('data', take);
}
