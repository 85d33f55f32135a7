import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { Terminal } from './terminal.ts';

function slow() {
  const stdout = new PassThrough({ highWaterMark: 4 });
  const stderr = new PassThrough({ highWaterMark: 4 });
  return { stdout, stderr, terminal: new Terminal(stdout, stderr) };
}

test('what a reader takes at once needs no waiting', () => {
  expect(slow().terminal.pass('stdout', Buffer.from('abc'))).toBeUndefined();
});

test.each(['stdout', 'stderr'] as const)('more may come when the reader of %s has caught up', async (stream) => {
  const { terminal, ...streams } = slow();
  const behind = terminal.pass(stream, Buffer.from('abcdefgh'));
  expect(behind).toBeInstanceOf(Promise);
  expect(String(streams[stream].read())).toBe('abcdefgh');
  await behind;
  expect(streams[stream].listenerCount('drain')).toBe(0);
});

test('a reader that goes away while it is behind is not waited for', async () => {
  const { terminal, stdout } = slow();
  const behind = terminal.pass('stdout', Buffer.from('abcdefgh'));
  stdout.destroy(Object.assign(new Error('closed'), { code: 'EPIPE' }));
  await behind;
  expect(terminal.readerGone.aborted).toBe(true);
  expect(terminal.pass('stdout', Buffer.from('abcdefgh'))).toBeUndefined();
});
