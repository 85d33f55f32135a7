import { Resolver } from 'node:dns/promises';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dnsCodes, readQuestion, writeAnswer } from '../src/gateway/dns-message.ts';
import { type DnsServer, startDnsServer } from '../src/gateway/dns-server.ts';

const asked: string[] = [];
let server: DnsServer;
let resolver: Resolver;
beforeAll(async () => {
  const free = createSocket('udp4').bind(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address();
  await new Promise<void>((resolve) => free.close(() => resolve()));
  server = startDnsServer('127.0.0.1', port, (name, type) => {
    asked.push(`${name} ${type}`);
    return name.endsWith('allowed.example');
  });
  await server.ready;
  resolver = new Resolver({ timeout: 2_000, tries: 1 });
  resolver.setServers([`127.0.0.1:${port}`]);
});
afterAll(() => server.close());

test('a resolver gets the address of the gateway for an allowed name, and nothing for another', async () => {
  expect(await resolver.resolve4('one.allowed.example')).toEqual(['127.0.0.1']);
  await expect(resolver.resolve4('data.leaks.example')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  await expect(resolver.resolve6('one.allowed.example')).rejects.toMatchObject({ code: 'ENODATA' });
  await expect(resolver.resolveTxt('one.allowed.example')).rejects.toMatchObject({ code: 'ENODATA' });
  expect(asked).toEqual(
    expect.arrayContaining(['one.allowed.example 1', 'data.leaks.example 1', 'one.allowed.example 28']),
  );
});

const label = fc.stringMatching(/^[A-Za-z0-9_-]{1,63}$/);
const labels = fc.array(label, { minLength: 1, maxLength: 3 });

function query(name: readonly string[], type: number, more: { readonly flags?: number; readonly count?: number } = {}) {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(4_242, 0);
  head.writeUInt16BE(more.flags ?? 0x0100, 2);
  head.writeUInt16BE(more.count ?? 1, 4);
  const parts = name.flatMap((each) => [Buffer.from([each.length]), Buffer.from(each, 'latin1')]);
  return Buffer.concat([head, ...parts, Buffer.from([0, type >> 8, type & 0xff, 0, 1])]);
}

test('reads the question that was asked, and an answer repeats it', () => {
  fc.assert(
    fc.property(labels, fc.nat(65_535), (name, type) => {
      const question = readQuestion(query(name, type));
      if (question === undefined) throw new Error('The question was not read');
      expect(question).toMatchObject({ id: 4_242, name: name.join('.'), type });
      const answer = writeAnswer(question, dnsCodes.ok, '10.1.2.3');
      expect(answer.subarray(12, 12 + question.bytes.length)).toEqual(question.bytes);
      expect([...answer.subarray(-4)]).toEqual([10, 1, 2, 3]);
      expect(answer.readUInt16BE(2) & 0x8000).toBe(0x8000);
    }),
  );
});

const plain = query(['a', 'example'], 1);
const pointer = Buffer.concat([plain.subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])]);
test.each([
  ['an answer', query(['a'], 1, { flags: 0x8100 })],
  ['an update', query(['a'], 1, { flags: 0x2800 })],
  ['two questions', query(['a'], 1, { count: 2 })],
  ['no question', query(['a'], 1, { count: 0 })],
  ['a name that points at itself', pointer],
  ['a label with a dot in it', query(['a.b', 'example'], 1)],
  [
    'a name of more than 255 bytes',
    query(
      Array.from({ length: 6 }, () => 'x'.repeat(60)),
      1,
    ),
  ],
  ['a message that is cut', plain.subarray(0, -1)],
])('%s is no question', (_, message) => {
  expect(readQuestion(message)).toBeUndefined();
});

test('whatever comes, reading ends without an error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, likeQuery) => {
      const message = Buffer.from(bytes);
      if (likeQuery && message.length >= 12) query(['a'], 1).copy(message, 0, 0, 12);
      expect(readQuestion(message)?.name.length ?? 0).toBeLessThanOrEqual(255);
    }),
    { numRuns: 2_000 },
  );
});
