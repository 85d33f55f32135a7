import { describe, expect, test } from 'vitest';
import type { Ledger, StoredRecord } from '../index.ts';
import { chainOf, taskId } from '../../test/records.ts';
import { followEvents } from './follow-events.ts';

const actor = { kind: 'system', id: 'test', agent: null, model: null, session: null, onBehalfOf: null } as const;
const chain = chainOf(
  Array.from({ length: 1_200 }, () => ({ stream: taskId, type: 'note.added' as const, actor, puts: [] })),
);

/** A ledger that grows with every look. */
function growing(): Pick<Ledger, 'follow' | 'waitForMore'> {
  let there = 300;
  return {
    follow: async ({ after, limit = 100 }) => {
      const from = Number(after ?? 0);
      const records = chain.slice(from, Math.min(there, from + limit));
      there = Math.min(chain.length, there + 300);
      return { records, cursor: String(from + records.length) };
    },
    waitForMore: async () => there < chain.length,
  };
}

describe('following events', () => {
  test('hands over every record once in order and says how far it got', async () => {
    const end = new AbortController();
    const seen: number[] = [];
    const cursors: string[] = [];
    const cursor = await followEvents(
      growing(),
      { after: null, signal: end.signal, onCursor: (at) => void cursors.push(at) },
      ({ seq }) => {
        seen.push(seq);
        if (seq === chain.length) end.abort();
      },
    );
    expect(seen).toEqual(chain.map(({ seq }) => seq));
    expect([cursor, cursors.at(-1)]).toEqual(['1200', '1200']);
  });

  test('tries a record again and stops before it when it is never taken', async () => {
    const tries: number[] = [];
    const kept: string[] = [];
    const following = followEvents(
      growing(),
      { after: '299', signal: new AbortController().signal, attempts: 2, onCursor: (at) => void kept.push(at) },
      ({ seq }: StoredRecord) => {
        tries.push(seq);
        if (seq === 302) throw new Error('cannot');
      },
    );
    await expect(following).rejects.toThrow('cannot');
    expect(tries.slice(0, 2)).toEqual([300, 301]);
    expect(tries.filter((seq) => seq === 302)).toHaveLength(2);
    expect(kept.every((at) => Number(at) < 302)).toBe(true);
  });

  test('a follower that begins at a kept cursor sees what came after it', async () => {
    const end = new AbortController();
    const seen: number[] = [];
    await followEvents(growing(), { after: '250', signal: end.signal }, ({ seq }) => {
      seen.push(seq);
      if (seq === 260) end.abort();
    });
    expect(seen).toEqual([251, 252, 253, 254, 255, 256, 257, 258, 259, 260]);
  });
});
