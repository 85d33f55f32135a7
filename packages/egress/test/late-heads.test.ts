import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { type HttpGate, createHttpFront } from '../src/gateway/http-front.ts';
import { sniff } from '../src/gateway/sniff.ts';

/** A server whose connections the front serves as a proxy, and what it recorded. */
async function openFront(): Promise<{ readonly port: number; readonly recorded: readonly string[] }> {
  const recorded: string[] = [];
  const gate = { record: (_via: string, _request: unknown, { rule }: { rule: string }) => void recorded.push(rule) };
  const front = createHttpFront(gate as unknown as HttpGate, { headLimitMs: 200 });
  const server = createServer({ allowHalfOpen: true }, (socket) => front.serve(socket, { via: 'proxy', port: 3128 }));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    front.close();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, recorded };
}

test.each([
  ['half a head', 'GET http://one.example/ HTTP/1.1\r\nx-more: ', ['timeout'], /^HTTP\/1\.1 408 /],
  ['nothing', '', [], /^$/],
])(
  'a connection that sends %s is ended, and told of when it asked for something',
  async (_what, sent, rules, answer) => {
    const { port, recorded } = await openFront();
    const client = connect(port, '127.0.0.1');
    client.write(sent);
    const said = await text(client);
    expect(said).toMatch(answer);
    expect(recorded).toEqual(rules);
  },
);

test('a client that has to begin and says nothing is given up', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Awaited<ReturnType<typeof connect>>];
  onTestFinished(() => {
    client.destroy();
    socket.destroy();
    server.close();
  });
  expect(await sniff(socket, 50)).toBeUndefined();
});
