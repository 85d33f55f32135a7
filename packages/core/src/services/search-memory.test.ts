import { expect, test } from 'vitest';
import type { Message } from '../domain/journal.ts';
import { searchMemory } from './search-memory.ts';

const taskId = 'tsk_00000000000000000000000001';

/** A memory that has messages alone. */
function memoryOf(messages: readonly Message[]): Parameters<typeof searchMemory>[0] {
  const none = async () => [];
  const page = async <T>(items: readonly T[]) => ({ items, next: null });
  return {
    listDecisions: none,
    listTodos: none,
    listNotes: none,
    listMessages: () => page(messages),
    listExecutions: () => page([]),
  };
}

/** As the store gives them: newest first. */
function messages(texts: readonly string[]): readonly Message[] {
  return texts.map((text, index) => ({
    id: `msg_${String(texts.length - index).padStart(26, '0')}`,
    taskId,
    sessionId: null,
    role: 'user',
    text,
    bodyDigest: null,
    createdAt: '2026-11-20T08:00:00.000Z',
  }));
}

test('what is of one millisecond comes newest first, too', async () => {
  const said = messages(['word e', 'word d', 'word c', 'word b', 'word a']);
  const { hits, more } = await searchMemory(memoryOf(said), taskId, { text: 'word', limit: 3 });
  expect(hits.map(({ excerpt }) => excerpt)).toEqual(['word e', 'word d', 'word c']);
  expect(more).toBe(true);
});

test('other work goes on while long texts are looked through', async () => {
  const long = `${Array.from({ length: 14_000 }, (_none, index) => `w${index}`).join(' ')} needle`;
  let turns = 0;
  const beside = setInterval(() => (turns += 1), 1);
  const { hits } = await searchMemory(memoryOf(messages(Array.from({ length: 20 }, () => long))), taskId, {
    text: 'needle',
  });
  clearInterval(beside);
  expect(hits).toHaveLength(20);
  expect(turns).toBeGreaterThan(10);
});
