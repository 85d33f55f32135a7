import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { Lane, LaneLostError, UnknownRequestError } from './lane.ts';

/** A lane to something that answers each request, which has a nonce, on both streams. */
function laneTo(answer: (nonce: string) => string): Lane {
  const stream: Duplex = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => {
      const [nonce = ''] = /[0-9a-f]{32}/.exec(chunk.toString('latin1')) ?? [];
      for (const kind of [1, 2]) stream.push(frame(kind, Buffer.from(answer(nonce), 'latin1')));
      done();
    },
  });
  return new Lane(stream);
}

function frame(kind: number, content: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header[0] = kind;
  header.writeUInt32BE(content.length, 4);
  return Buffer.concat([header, content]);
}

const frameOf = {
  token: 1,
  mark: 1n,
  withStdin: false,
  command: { kind: 'script', script: 'true' },
  cwd: '/',
  env: {},
};
const output = { onStdout: () => undefined, onStderr: () => undefined };

test.each([
  ['a packed block', '=100 7\n\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff'],
  ['the head of one', '=ever so much\n'],
  ['a result line', ` ${'x'.repeat(400)}`],
])('a lane on which %s comes broken is lost, as one that ends', async (_what, text) => {
  const lane = laneTo((nonce) => `\u001e${nonce}${text}`);
  const running = lane.run(frameOf as Parameters<Lane['run']>[0], output);
  const error: unknown = await running.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(LaneLostError);
  expect((error as Error).cause).toBeInstanceOf(Error);
  expect(lane.usable).toBe(false);
});

test('a supervisor of an earlier version is told from a lane that is lost', async () => {
  const lane = laneTo((nonce) => `\u001e${nonce} unknown 0\n`);
  await expect(lane.control('same')).rejects.toBeInstanceOf(UnknownRequestError);
});

test.each([
  ['which knows how', 'ok 0', true],
  ['of an earlier version', 'unknown 0', false],
  ['that may not, as the main process of a container', 'left 0', false],
])('a supervisor %s says whether it keeps its next command in the background', async (_which, answer, keeps) => {
  const lane = laneTo((nonce) => `\u001e${nonce} ${answer}\n`);
  expect(await lane.keepsNext(60)).toBe(keeps);
});
