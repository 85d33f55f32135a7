import { once } from 'node:events';
import { type Socket, connect, createServer } from 'node:net';
import { PassThrough, type Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { relayBytes } from '../src/gateway/relay-bytes.ts';

/** Two ends of a connection. */
async function connection(): Promise<readonly [Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const one = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [other] = (await once(server, 'connection')) as [Socket];
  onTestFinished(() => {
    one.destroy();
    other.destroy();
    server.close();
  });
  return [one, other];
}

/** Reads to the end and leaves the stream as it is, where an iterator would destroy what is still being written to it. */
async function buffer(from: Readable): Promise<Buffer> {
  const pieces: Buffer[] = [];
  from.on('data', (bytes: Buffer) => void pieces.push(Buffer.from(bytes)));
  await once(from, 'end');
  return Buffer.concat(pieces);
}

function someBytes(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 255));
}

test('what one connection sends arrives at the other, byte for byte, in both directions at once', async () => {
  const [[client, near], [far, server]] = [await connection(), await connection()];
  relayBytes(near, far);
  relayBytes(far, near);
  const [up, down] = [someBytes(3_000_000), someBytes(5_000_001)];
  client.end(up);
  server.end(down);
  const [asked, answered] = await Promise.all([buffer(server), buffer(client)]);
  expect(asked.equals(up)).toBe(true);
  expect(answered.equals(down)).toBe(true);
});

test('an end of one direction leaves the other open', async () => {
  const [[client, near], [far, server]] = [await connection(), await connection()];
  relayBytes(near, far);
  relayBytes(far, near);
  client.end('question');
  expect((await buffer(server)).toString()).toBe('question');
  server.end('answer');
  expect((await buffer(client)).toString()).toBe('answer');
});

test('a slow reader holds the sender up', async () => {
  const [[client, near], [far, server]] = [await connection(), await connection()];
  relayBytes(near, far);
  const sent = Buffer.alloc(60_000_000);
  client.end(sent);
  await delay(300);
  expect(client.writableLength).toBeGreaterThan(0);
  expect(far.writableLength).toBeLessThan(1_000_000);
  let received = 0;
  server.on('data', (bytes) => (received += bytes.length));
  await once(server, 'end');
  expect(received).toBe(sent.length);
});

test('memory is given back once it is written, and not before its last part is', async () => {
  const writes: (() => void)[] = [];
  const seen: string[] = [];
  const to = new Writable({
    write: (bytes: Buffer, _encoding, written) => {
      writes.push(() => {
        seen.push(bytes.toString());
        written();
      });
    },
  });
  const from = new PassThrough();
  relayBytes(from, to);
  const [first, second] = [Buffer.from(new ArrayBuffer(4)), Buffer.from(new ArrayBuffer(2))];
  first.write('abcd');
  second.write('ef');
  for (const part of [first.subarray(0, 2), first.subarray(2), second]) from.write(part);
  const turn = async (): Promise<void> => {
    writes.shift()?.();
    await delay(1);
  };
  await delay(1);
  await turn();
  expect(first.length).toBe(4);
  await turn();
  expect(first.length).toBe(0);
  await turn();
  expect(seen).toEqual(['ab', 'cd', 'ef']);
  expect(second.length).toBe(2);
});

test('what Node cuts many small pieces from is left alone', async () => {
  const [from, to] = [new PassThrough(), new PassThrough()];
  relayBytes(from, to);
  const shared = Buffer.allocUnsafe(8);
  const mine = Buffer.from('mine stays');
  from.write(shared);
  from.end(Buffer.from(new ArrayBuffer(8)));
  await buffer(to);
  expect(mine.toString()).toBe('mine stays');
  expect(shared.length).toBe(8);
});

test('a reader that goes stops the sender', async () => {
  const [from, to] = [new PassThrough(), new PassThrough()];
  relayBytes(from, to);
  to.destroy();
  await once(to, 'close');
  expect(from.isPaused()).toBe(true);
});

test('a stream that another reader let go goes on', async () => {
  const [from, before, to] = [new PassThrough(), new PassThrough(), new PassThrough()];
  from.pipe(before);
  from.unpipe(before);
  from.end('all of it');
  relayBytes(from, to);
  expect((await buffer(to)).toString()).toBe('all of it');
});
