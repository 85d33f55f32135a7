import type { Hash, createHash } from 'node:crypto';
import type * as fileSystem from 'node:fs';
import { availableParallelism } from 'node:os';
import { type MessagePort, Worker } from 'node:worker_threads';

/** A thread takes a while to start, so it stays for what comes soon. */
const idleMs = 10_000;

interface Request {
  readonly id: number;
  readonly file: number;
  /** Up to here the file can be read. */
  readonly bytes: number;
  /** Nothing more comes: the digest is asked for. */
  readonly isWhole: boolean;
}

type Reply = { readonly id: number } & ({ readonly digest: string } | { readonly error: string });

interface Tools {
  readonly readSync: typeof fileSystem.readSync;
  readonly createHash: typeof createHash;
  readonly port: MessagePort;
}

/** It runs in a thread that has nothing but its text, so it names nothing from outside of it. */
function digestFiles({ readSync, createHash: newHash, port }: Tools): void {
  const block = Buffer.allocUnsafeSlow(256 * 1024);
  const files = new Map<number, { readonly hash: Hash; at: number; error: string | null }>();
  const readUpTo = (file: number, of: { readonly hash: Hash; at: number }, bytes: number): void => {
    while (of.at < bytes) {
      const read = readSync(file, block, 0, Math.min(block.length, bytes - of.at), of.at);
      if (read === 0) throw new Error(`The file ends after ${of.at} of ${bytes} bytes`);
      of.hash.update(block.subarray(0, read));
      of.at += read;
    }
  };
  port.on('message', ({ id, file, bytes, isWhole }: Request) => {
    const of = files.get(id) ?? { hash: newHash('sha256'), at: 0, error: null };
    files.set(id, of);
    try {
      if (of.error === null) readUpTo(file, of, bytes);
    } catch (error) {
      of.error = String(error);
    }
    if (!isWhole) return;
    files.delete(id);
    const reply: Reply = of.error === null ? { id, digest: of.hash.digest('hex') } : { id, error: of.error };
    port.postMessage(reply);
  });
}

/** A file that grows and is digested meanwhile. */
export interface FollowedFile {
  /** Says how much of it is written. */
  grown(bytes: number): void;
  /** @returns its SHA-256, in hex; rejects when it cannot be read, or the thread is gone */
  end(bytes: number): Promise<string>;
}

/**
 * Digests files in a thread beside the one that writes them: for a long output that costs as much as all else. The thread is
 * started when it is first needed and ends when nothing was asked of it for 10 s.
 */
export class DigestThread {
  #worker: Worker | null = null;
  #next = 0;
  readonly #waiting = new Map<number, { resolve(digest: string): void; reject(error: Error): void }>();
  readonly #followed = new Set<number>();
  #idle: NodeJS.Timeout | null = null;

  /** Without a second processor a thread would only take time from this one. */
  static readonly isWorthIt = availableParallelism() > 1;

  /** @param file descriptor that can be read; it stays open until `end` has settled */
  follow(file: number): FollowedFile {
    const id = (this.#next += 1);
    const worker = this.#started();
    this.#followed.add(id);
    const send = (request: Request): void => worker.postMessage(request, []);
    return {
      grown: (bytes) => send({ id, file, bytes, isWhole: false }),
      end: async (bytes) => {
        try {
          return await new Promise<string>((resolve, reject) => {
            if (this.#worker !== worker) throw new Error('The thread is gone');
            this.#waiting.set(id, { resolve, reject });
            worker.ref();
            send({ id, file, bytes, isWhole: true });
          });
        } finally {
          this.#waiting.delete(id);
          this.#followed.delete(id);
          // A process that is about to end waits for no thread that nobody waits for.
          if (this.#waiting.size === 0) worker.unref();
          if (this.#followed.size === 0) this.#rest();
        }
      },
    };
  }

  #started(): Worker {
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#idle = null;
    return (this.#worker ??= this.#start());
  }

  #start(): Worker {
    const text = `
      const { readSync } = require('node:fs');
      const { createHash } = require('node:crypto');
      (${String(digestFiles)})({ readSync, createHash, port: require('node:worker_threads').parentPort });`;
    const worker = new Worker(text, { eval: true, env: {}, execArgv: [] });
    worker.unref();
    worker.on('message', (reply: Reply) => {
      const waiting = this.#waiting.get(reply.id);
      if ('digest' in reply) waiting?.resolve(reply.digest);
      else waiting?.reject(new Error(reply.error));
    });
    const gone = (error: Error): void => {
      // One that was told to end, as nothing was asked of it, has nobody waiting.
      if (this.#worker !== worker) return;
      this.#worker = null;
      for (const waiting of this.#waiting.values()) waiting.reject(error);
    };
    worker.on('error', gone);
    worker.on('exit', () => gone(new Error('The thread is gone')));
    return worker;
  }

  #rest(): void {
    this.#idle = setTimeout(() => {
      const worker = this.#worker;
      this.#worker = null;
      void worker?.terminate();
    }, idleMs).unref();
  }
}
