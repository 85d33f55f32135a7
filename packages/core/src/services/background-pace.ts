import type { Execution } from '../domain/execution.ts';
import { outputStreams } from '../ports/task-memory.ts';
import type { Kernel } from './kernel.ts';

/** Half of what a spool holds at least before its command waits for room. */
const muchBytes = 512 * 1024;
/** Less, such as a line now and then, is not worth looks that cost a process some milliseconds each. */
const someBytes = 16 * 1024;

interface PaceOptions {
  readonly shortestMs: number;
  readonly longestMs: number;
  /** What a pause after which little came is multiplied by. */
  readonly growth: number;
}

/** How long to wait before the next look at a command, by how much of its output is kept now. */
export type Pace = (keptBytes: number) => number;

/**
 * After a look that brought much there is no pause, since the command may be waiting for room; after one that brought some the
 * pause is the shortest; while little comes it grows to the longest. Whoever took the bytes, they count.
 */
export function createPace({ shortestMs, longestMs, growth }: PaceOptions): Pace {
  let nextMs = shortestMs;
  let before = 0;
  return (keptBytes) => {
    const came = keptBytes - before;
    before = keptBytes;
    if (came >= someBytes) nextMs = shortestMs;
    if (came >= muchBytes) return 0;
    const pauseMs = nextMs;
    nextMs = Math.min(longestMs, nextMs * growth);
    return pauseMs;
  };
}

/** How much of the outputs of a command is in the memory of its task. */
export async function keptBytesOf({ deps }: Kernel, { taskId, id }: Execution): Promise<number> {
  const sizes = outputStreams.map(async (stream) => deps.memory.outputBytes(taskId, id, stream));
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
