import type { Readable, Writable } from 'node:stream';
import { isMarkedAsUntransferable } from 'node:worker_threads';

/**
 * Hands on what a stream gives, as fast as the other takes it, and ends that when the one has ended. Unlike a pipe it gives the
 * memory of each piece back as soon as it is written, and does not wait for the collector. The caller leaves alone what it hands
 * over, and destroys one side when the other is gone.
 */
export function relayBytes(from: Readable, to: Writable): void {
  let current: Piece | undefined;
  const hand = (bytes: Buffer): void => {
    // Pieces come in order: one in other memory says that no more come from the memory before.
    if (bytes.buffer !== current?.memory) {
      if (current !== undefined) {
        current.more = false;
        free(current);
      }
      current = { memory: bytes.buffer, writes: 0, more: true };
    }
    const piece = current;
    piece.writes += 1;
    const ready = to.write(bytes, () => {
      piece.writes -= 1;
      free(piece);
    });
    if (!ready) from.pause();
  };
  const goOn = (): void => void from.resume();
  const end = (): void => void to.end();
  const stop = (): void => {
    from.off('data', hand).off('end', end).off('close', stop);
    to.off('drain', goOn).off('close', stop);
    from.pause();
  };
  from.on('data', hand).once('end', end).once('close', stop);
  to.on('drain', goOn).once('close', stop);
  from.resume();
}

interface Piece {
  readonly memory: ArrayBufferLike;
  /** Writes of parts of it that are not through. */
  writes: number;
  /** Whether parts of it may still come. */
  more: boolean;
}

function free({ memory, writes, more }: Piece): void {
  // What Node cuts small pieces from is not theirs alone, and marked.
  if (more || writes > 0 || !(memory instanceof ArrayBuffer) || isMarkedAsUntransferable(memory)) return;
  memory.transfer(0);
}
