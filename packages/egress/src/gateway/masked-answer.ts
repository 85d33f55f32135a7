import type { IncomingMessage } from 'node:http';
import { type Readable, Transform } from 'node:stream';
import type { Redactor } from '@opencode-tools/core';

/** An answer as it goes on to the client. */
export interface Answer {
  readonly reason: string;
  readonly headers: readonly string[];
  readonly body: Readable;
}

/**
 * Puts stars, as many as there were bytes, in the place of values that a server says back: in its headers, and in a body that is not
 * compressed. What a server makes of them in other ways passes.
 *
 * @param headers names and values of the answer, in turn
 */
export function maskedAnswer(incoming: IncomingMessage, headers: readonly string[], masking: () => Redactor): Answer {
  const text = (value: string): string => {
    const redactor = masking();
    const bytes = Buffer.from(value, 'latin1');
    return Buffer.concat([redactor.take(bytes), redactor.end()]).toString('latin1');
  };
  const encoded = !['', 'identity'].includes(incoming.headers['content-encoding'] ?? '');
  const body = encoded ? incoming : incoming.pipe(maskedBody(masking()));
  return { reason: text(incoming.statusMessage ?? ''), headers: headers.map(text), body };
}

/** Each piece gets memory of its own: whoever sends it gives it back. */
function maskedBody(redactor: Redactor): Transform {
  return new Transform({
    transform: (chunk: Buffer, _encoding, done) => done(null, Buffer.from(redactor.take(chunk))),
    flush: (done) => done(null, Buffer.from(redactor.end())),
  });
}
