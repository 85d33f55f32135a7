import type { Socket } from 'node:net';
import { type FirstBytes, readFirstBytes } from './first-bytes.ts';

const decideLimitMs = 15_000;

/**
 * Waits until it is plain what a client speaks, and leaves all bytes in the socket. A client that stays silent is waited for
 * (its server may have to speak first); one that has begun has to go on.
 *
 * @param silentLimitMs for clients that have to begin: how long one may say nothing; without an end by default
 * @returns undefined when the connection ended first, or the client said nothing in time
 */
export async function sniff(socket: Socket, silentLimitMs?: number): Promise<FirstBytes | undefined> {
  let held = Buffer.alloc(0);
  let timer: NodeJS.Timeout | undefined;
  let silence: NodeJS.Timeout | undefined;
  const first = await new Promise<FirstBytes | undefined>((resolve) => {
    const read = (): void => {
      for (let chunk: Buffer | null; (chunk = socket.read() as Buffer | null) !== null;) {
        held = Buffer.concat([held, chunk]);
      }
      const seen = readFirstBytes(held);
      if (seen.speaks !== 'undecided') return finish(seen);
      if (held.length > 0) clearTimeout(silence);
      if (held.length > 0) timer ??= setTimeout(() => finish({ speaks: 'malformed' }), decideLimitMs);
    };
    const ended = (): void => finish(held.length > 0 ? { speaks: 'malformed' } : undefined);
    const finish = (result: FirstBytes | undefined): void => {
      socket.off('readable', read).off('end', ended).off('close', ended);
      clearTimeout(timer);
      clearTimeout(silence);
      resolve(result);
    };
    socket.on('readable', read).once('end', ended).once('close', ended);
    if (silentLimitMs !== undefined) silence = setTimeout(() => finish(undefined), silentLimitMs);
    read();
  });
  if (held.length > 0 && !socket.destroyed && !socket.readableEnded) socket.unshift(held);
  return first;
}
