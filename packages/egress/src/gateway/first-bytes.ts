import { readClientHello } from './client-hello.ts';

/** What a client speaks, by the first bytes that it sends. */
export type FirstBytes =
  | { readonly speaks: 'undecided' }
  | { readonly speaks: 'tls'; readonly serverName: string | undefined }
  | { readonly speaks: 'http' }
  | { readonly speaks: 'malformed' }
  | { readonly speaks: 'other' };

const tlsHandshake = 22;
const requestLine = /^[\r\n]*[!#$%&'*+.^_`|~0-9A-Za-z-]{1,24} [^\r\n]*$/;
const tokenStart = /^[\r\n]*[!#$%&'*+.^_`|~0-9A-Za-z-]{0,24}$/;
const firstLine = /^[\r\n]*([^\r\n]*)\r?\n/;
const httpVersion = / HTTP\/\d/;
const longestLine = 8 * 1024;

/**
 * Tells TLS, HTTP and everything else apart. Anything that a lenient server could take for a request counts as HTTP, and an
 * unfinished first line is waited for, so that no request passes as another protocol.
 */
export function readFirstBytes(bytes: Buffer): FirstBytes {
  if (bytes.length === 0) return { speaks: 'undecided' };
  if (bytes[0] === tlsHandshake) {
    const hello = readClientHello(bytes);
    if (hello.kind === 'incomplete') return { speaks: 'undecided' };
    return hello.kind === 'malformed' ? { speaks: 'malformed' } : { speaks: 'tls', serverName: hello.serverName };
  }
  const text = bytes.subarray(0, longestLine).toString('latin1');
  const line = firstLine.exec(text)?.[1];
  if (line !== undefined) return { speaks: httpVersion.test(line) || requestLine.test(line) ? 'http' : 'other' };
  if (tokenStart.test(text) || requestLine.test(text))
    return text.length >= longestLine ? { speaks: 'malformed' } : { speaks: 'undecided' };
  return { speaks: 'other' };
}
