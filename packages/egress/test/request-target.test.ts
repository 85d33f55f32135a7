import type { IncomingMessage } from 'node:http';
import { expect, test } from 'vitest';
import { targetOf } from '../src/gateway/request-target.ts';

const request = (url: string, ...hosts: readonly string[]): IncomingMessage =>
  ({ url, rawHeaders: hosts.flatMap((host) => ['Host', host]) }) as unknown as IncomingMessage;

test.each([
  ['another host than its request line', request('http://one.example/', 'two.example:8080'), 'one.example'],
  ['several Host headers', request('http://one.example/', 'one.example:8080', 'two.example'), 'one.example'],
])('a refused request with %s is told by host and port, each once', (fault, given, host) => {
  const target = targetOf(given, { via: 'proxy', port: 3128 });
  expect(target).toMatchObject({ ok: false, host, port: 8080, fault: expect.stringContaining(fault) as string });
});
