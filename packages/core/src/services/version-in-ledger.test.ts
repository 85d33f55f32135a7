import { describe, expect, test } from 'vitest';
import { chainOf, taskId } from '../../test/records.ts';
import type { Note } from '../domain/journal.ts';
import type { StoredRecord } from '../ledger/ledger-record.ts';
import { versionInLedger } from './version-in-ledger.ts';

const actor = { kind: 'system', id: 'test', agent: null, model: null, session: null, onBehalfOf: null } as const;
const noteAt = (id: string, version: number): Note =>
  ({ id, taskId, text: `${id} at ${version}`, version }) as unknown as Note;
const put = (id: string, version: number) => ({
  stream: taskId,
  type: version === 1 ? ('note.added' as const) : ('note.changed' as const),
  actor,
  puts: [{ noun: 'note', value: noteAt(id, version) } as const],
});

/** A ledger that counts what was read of it. */
function ledgerOf(records: readonly StoredRecord[]) {
  const read: number[] = [];
  return {
    read: async (
      _: string,
      {
        beforeSeq = Infinity,
        limit = 100,
        types = [],
        newestFirst,
      }: Parameters<Parameters<typeof versionInLedger>[0]['read']>[1] & object,
    ) => {
      expect(newestFirst).toBe(true);
      const found = records.filter(({ seq, type }) => seq < beforeSeq && types.includes(type)).toReversed();
      const page = found.slice(0, limit);
      read.push(page.length);
      return page;
    },
    pages: read,
  };
}

describe('a version of a note', () => {
  const older = Array.from({ length: 2_000 }, (_, index) => put(`nte_${index}`, 1));
  const records = chainOf([...older, put('nte_x', 1), ...older.slice(0, 700), put('nte_x', 2), put('nte_x', 3)]);
  const find = async (id: string, version: number, chain = records) => {
    const ledger = ledgerOf(chain);
    return { note: await versionInLedger(ledger, taskId, { noun: 'note', id, version }), pages: ledger.pages.length };
  };

  test('is found from the end, and what is older is not read', async () => {
    expect(await find('nte_x', 2)).toEqual({ note: noteAt('nte_x', 2), pages: 1 });
    expect(await find('nte_x', 1)).toEqual({ note: noteAt('nte_x', 1), pages: 2 });
  });

  test('is undefined when its record was erased, without reading on past an older version', async () => {
    const erased = records.map((record) =>
      record.payload?.includes('nte_x at 2') ? { ...record, payload: null } : record,
    );
    expect(await find('nte_x', 2, erased)).toEqual({ note: undefined, pages: 2 });
  });

  test('is undefined when there is none in the whole ledger', async () => {
    expect(await find('nte_y', 1)).toEqual({ note: undefined, pages: 6 });
  });
});
