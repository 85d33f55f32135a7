import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import type { ByteStream } from '@opencode-tools/core';

/**
 * Writes the standard input of a command and ends it, no faster than the command takes it. Gives up when the command has
 * ended: many commands read less than they are given. Never rejects.
 *
 * @param source a stream must not throw
 */
export async function feed(stream: Duplex, source: Uint8Array | ByteStream, ended: AbortSignal): Promise<void> {
  if (source instanceof Uint8Array) {
    stream.end(source);
    return;
  }
  for await (const chunk of source) {
    if (ended.aborted || stream.destroyed) return;
    if (!stream.write(chunk)) await once(stream, 'drain', { signal: ended }).catch(ignore);
  }
  if (!ended.aborted) stream.end();
}

const ignore = (): void => undefined;
