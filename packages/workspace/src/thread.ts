import type { hash } from 'node:crypto';
import type * as fileSystem from 'node:fs';
import { availableParallelism } from 'node:os';
import { type MessagePort, Worker } from 'node:worker_threads';
import type { BytePath } from './byte-path.ts';
import { hasDescriptors, isPlaceOf } from './open-unfollowed.ts';

const mostThreads = 4;

/** What a thread works with. */
export interface ThreadTools {
  readonly fs: typeof fileSystem;
  readonly hash: typeof hash;
  readonly port: MessagePort;
  /** Whether an open file lies at a real path. */
  readonly liesAt: (file: number, path: BytePath) => boolean;
}

/** How many threads can work at once; 1 means that a thread would only take time from this one. */
export function threadsAtOnce(): number {
  return Math.min(availableParallelism(), mostThreads);
}

/**
 * Starts a thread. It has nothing but the text of its program, however this package was bundled.
 *
 * @param program names nothing from outside of it
 * @param input copied into the thread; memory that is shared stays shared
 */
export function startThread<Input>(program: (tools: ThreadTools, input: Input) => void, input: Input): Worker {
  const text = `
    const { parentPort: port, workerData } = require('node:worker_threads');
    const fs = require('node:fs');
    const isPlaceOf = ${String(isPlaceOf)};
    const liesAt = (file, path) => isPlaceOf(fs, file, path, ${String(hasDescriptors)});
    const { hash } = require('node:crypto');
    (${String(program)})({ fs, hash, port, liesAt }, workerData);`;
  return new Worker(text, { eval: true, workerData: input, env: {}, execArgv: [] });
}
