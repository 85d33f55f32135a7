import type { IncomingMessage } from 'node:http';
import { valuesOf } from './request-target.ts';

/** Headers that speak of one connection only (RFC 9110, 7.6.1), and those that would start another protocol on it. */
const ofOneConnection = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
];

/** The headers of a message that go on to the other side, in order, without those named. */
export function forwardedHeaders(message: IncomingMessage, without: readonly string[] = []): string[] {
  const named = valuesOf(message, 'connection').flatMap((value) => value.toLowerCase().split(/\s*,\s*/));
  const dropped = new Set([...ofOneConnection, ...named, ...without]);
  const raw = message.rawHeaders;
  const kept: string[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const [name = '', value = ''] = [raw[index], raw[index + 1]];
    if (!dropped.has(name.toLowerCase())) kept.push(name, value);
  }
  return kept;
}

/** True when another protocol is asked for that has no meaning without it; others are offers, and a server may go on without. */
export function asksForWebSocket(message: IncomingMessage): boolean {
  const named = valuesOf(message, 'upgrade').flatMap((value) => value.toLowerCase().split(/\s*,\s*/));
  return named.some((name) => name.split('/', 1)[0] === 'websocket');
}

/** True when the message announces a body. */
export function hasBody(message: IncomingMessage): boolean {
  return message.headers['transfer-encoding'] !== undefined || Number(message.headers['content-length'] ?? 0) > 0;
}
