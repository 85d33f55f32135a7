import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { runLine, taskId } from '../../test/run-line.ts';

const message = {
  id: 'msg_0000000000000000000000000a',
  role: 'assistant',
  text: 'done\u001b[31m',
  createdAt: '2026-11-20T08:00:00.000Z',
} as never;

test('message add keeps what is given, as the user by default, or standard input', async () => {
  const asked: unknown[] = [];
  const addMessage = async (id: unknown, given: unknown) => {
    asked.push(id, given);
    return message;
  };
  const add = (argv: readonly string[], stdin?: Buffer) =>
    runLine(
      ['message', 'add', 'x', ...argv],
      { journal: { addMessage } },
      stdin === undefined ? {} : { stdin: Readable.from([stdin]) },
    );
  expect((await add(['hello'])).stdout).toBe('added message 0000000a\n');
  await add(['--role', 'tool'], Buffer.from('from stdin\n'));
  expect(asked).toEqual([taskId, { role: 'user', text: 'hello' }, taskId, { role: 'tool', text: 'from stdin' }]);
  expect(await add([], Buffer.from([0xff]))).toMatchObject({ code: 2, stderr: expect.stringContaining('UTF-8') });
});

test('message list shows who said what, without what would steer the terminal', async () => {
  const journal = { messages: async () => ({ items: [message], next: 'more' }) };
  const line = await runLine(['message', 'list', 'x'], { journal });
  expect(line.stdout).toContain('0000000a assistant');
  expect(line.stdout).not.toContain('\u001b');
  expect(line.stdout).toContain('--cursor more');
});

test('task-search shows what was found', async () => {
  const asked: unknown[] = [];
  const hit = {
    kind: 'note',
    id: 'nte_0000000000000000000000000b',
    at: '2026-11-20T08:00:00.000Z',
    by: 'ada',
    excerpt: 'a b',
  };
  const search = async (...given: unknown[]) => {
    asked.push(...given);
    return { hits: [hit], more: true } as never;
  };
  const line = await runLine(['task-search', 'x', 'a', 'b', '--kind', 'note', '--limit', '1'], { journal: { search } });
  expect(asked).toEqual([taskId, { text: 'a b', kinds: ['note'], limit: 1 }]);
  expect(line.stdout).toMatch(/note +0000000b .* ada +a b/);
  expect(line.stdout).toContain('There is more');
});
