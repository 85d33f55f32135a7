import type { IncomingMessage } from 'node:http';
import { expect, test } from 'vitest';
import { targetOf } from '../src/gateway/request-target.ts';

const request = (url: string, ...hosts: readonly string[]): IncomingMessage =>
  ({ url, rawHeaders: hosts.flatMap((host) => ['Host', host]) }) as unknown as IncomingMessage;

test.each([
  ['another host than its request line', request('http://one.example/', 'two.example:8080'), 80],
  ['another host than its request line', request('http://one.example:81/', 'two.example'), 81],
  ['several Host headers', request('http://one.example/', 'one.example:8080', 'two.example'), 8080],
  ['several Host headers', request('http://one.example/', 'one.example', 'two.example'), 80],
  ['a proxy takes http:// addresses', request('https://one.example/', 'one.example'), 443],
  ['a proxy takes http:// addresses', request('/', 'one.example'), 80],
  ['a user name', request('http://me@one.example/', 'one.example'), 80],
])('a refused request with %s is told by host and port, each once', (fault, given, port) => {
  const target = targetOf(given, { via: 'proxy', port: 3128 });
  expect(target).toMatchObject({
    ok: false,
    host: 'one.example',
    port,
    fault: expect.stringContaining(fault) as string,
  });
});
