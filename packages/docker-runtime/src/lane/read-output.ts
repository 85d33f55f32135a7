import type { Duplex } from 'node:stream';
import { Demultiplexer } from './demultiplex.ts';

/**
 * Reads what a process puts out, to its end or for as long as it may take.
 *
 * @param limits how many bytes are kept, and for how many milliseconds is read
 */
export async function readOutput(
  stream: Duplex,
  limits: { readonly bytes: number; readonly ms: number },
): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const parts = new Demultiplexer((chunk) => {
    if (bytes < limits.bytes) chunks.push(chunk);
    bytes += chunk.length;
  }, ignore);
  const timer = setTimeout(() => stream.destroy(), limits.ms);
  try {
    await new Promise<void>((resolve) => {
      stream.on('data', (chunk: Buffer) => parts.push(chunk));
      stream.on('error', ignore).on('close', resolve).on('end', resolve);
    });
  } finally {
    clearTimeout(timer);
    stream.destroy();
  }
  return Buffer.concat(chunks).subarray(0, limits.bytes).toString('utf8');
}

const ignore = (): void => undefined;
