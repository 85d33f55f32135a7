import { expect, onTestFinished, test, vi } from 'vitest';
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
  let nowMs = 0;
  // As if every text took as long as others may be held up.
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (nowMs += 10));
  onTestFinished(() => clock.mockRestore());
  let turns = 0;
  let beside = setImmediate(function turn() {
    turns += 1;
    beside = setImmediate(turn);
  });
  const found = await searchMemory(memoryOf(messages(Array.from({ length: 20 }, () => 'needle'))), taskId, {
    text: 'needle',
  });
  clearImmediate(beside);
  expect(found.hits).toHaveLength(20);
  expect(turns).toBeGreaterThanOrEqual(20);
});
