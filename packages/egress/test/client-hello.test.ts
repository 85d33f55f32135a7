import { once } from 'node:events';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import { connect } from 'node:tls';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { readClientHello } from '../src/gateway/client-hello.ts';
import { readFirstBytes } from '../src/gateway/first-bytes.ts';

/** The first bytes that a TLS client of Node sends. */
async function helloFor(servername: string): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', servername });
  client.on('error', () => undefined);
  const [socket] = (await once(server, 'connection')) as [Socket];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  client.destroy();
  server.close();
  return bytes;
}

const record = (body: Buffer): Buffer => Buffer.concat([Buffer.from([22, 3, 1]), two(body.length), body]);
const two = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
const withLength = (...parts: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(parts);
  return Buffer.concat([two(body.length), body]);
};
const serverName = (...names: readonly string[]): Buffer =>
  Buffer.concat([
    two(0),
    withLength(withLength(...names.flatMap((name) => [Buffer.from([0]), withLength(Buffer.from(name, 'latin1'))]))),
  ]);

/** A hello with these extensions and nothing else of interest. */
function helloOf(...extensions: readonly Buffer[]): Buffer {
  const fixed = Buffer.concat([Buffer.from([3, 3]), Buffer.alloc(32), Buffer.from([0]), withLength(two(0x1301))]);
  const hello = Buffer.concat([fixed, Buffer.from([1, 0]), withLength(...extensions)]);
  return Buffer.concat([Buffer.from([1, 0]), two(hello.length), hello]);
}

test('reads the name out of what a client of Node sends, and waits for it until the last byte', async () => {
  const bytes = await helloFor('registry.example.org');
  expect(readClientHello(bytes)).toEqual({ kind: 'hello', serverName: 'registry.example.org' });
  for (let length = 0; length < bytes.length; length += 1)
    expect(readClientHello(bytes.subarray(0, length))).toEqual({ kind: 'incomplete' });
});

test('reads a hello that comes in records of any size', async () => {
  const bytes = await helloFor('split.example.org');
  const message = bytes.subarray(5);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: message.length }), (size) => {
      const parts: Buffer[] = [];
      for (let at = 0; at < message.length; at += size) parts.push(record(message.subarray(at, at + size)));
      expect(readClientHello(Buffer.concat(parts))).toEqual({ kind: 'hello', serverName: 'split.example.org' });
    }),
  );
});

test('a hello without a name has none', () => {
  expect(readClientHello(record(helloOf()))).toEqual({ kind: 'hello', serverName: undefined });
});

/** The same with bytes after its end, which its length counts. */
function grown(message: Buffer): Buffer {
  const longer = Buffer.concat([message, Buffer.from('x')]);
  longer.writeUIntBE(longer.length - 4, 1, 3);
  return longer;
}

test.each([
  ['two names in one extension', helloOf(serverName('one.example', 'two.example'))],
  ['the extension twice', helloOf(serverName('one.example'), serverName('one.example'))],
  ['something after the extensions', grown(helloOf(serverName('one.example')))],
])('%s: no name is taken from among them', (_, message) => {
  expect(readClientHello(record(message))).toEqual({ kind: 'malformed' });
  expect(readFirstBytes(record(message))).toEqual({ speaks: 'malformed' });
});

test('whatever comes is told to be something, and no name longer than the bytes is found', () => {
  const like = fc.uint8Array({ maxLength: 200 }).map((tail) => Buffer.concat([Buffer.from([22, 3, 1]), tail]));
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
        like,
      ),
      (bytes) => {
        const hello = readClientHello(bytes);
        expect(['incomplete', 'malformed', 'hello']).toContain(hello.kind);
        if (hello.kind === 'hello') expect(hello.serverName?.length ?? 0).toBeLessThan(bytes.length);
        readFirstBytes(bytes);
      },
    ),
    { numRuns: 2_000 },
  );
});

test('a hello with one byte changed names another host only where the byte is of the name', async () => {
  const bytes = await helloFor('exact.example.org');
  const at = bytes.indexOf('exact.example.org');
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (position, change) => {
      const changed = Buffer.from(bytes);
      changed[position] = (changed[position] ?? 0) ^ change;
      const hello = readClientHello(changed);
      const isOfName = position >= at && position < at + 'exact.example.org'.length;
      const found = hello.kind === 'hello' ? hello.serverName : undefined;
      expect(isOfName || found === undefined || found === 'exact.example.org').toBe(true);
    }),
    { numRuns: 2_000 },
  );
});
