import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chain, chainAndIndex, chainOf, genesis, headOf, recordDraft, taskId } from '../../test/records.ts';
import { hashRecord, sha256 } from './chain.ts';
import { type LedgerRecord, type StoredRecord, genesisHash } from './ledger-record.ts';
import { verifyChain } from './verify-chain.ts';

/** A change of each member that the hash covers; every one differs from what `recordDraft` can make. */
const tamper = {
  v: { v: 2 as 1 },
  type: { type: 'task.deleted' },
  at: { at: '2020-01-01T00:00:00.000Z' },
  actor: { actor: { kind: 'system', id: 'nobody!', agent: null, model: null, session: null, onBehalfOf: null } },
  homeId: { homeId: 'hom_0000000000000000000000000z' },
  token: { token: -1 },
  operationId: { operationId: 'opn_0000000000000000000000000z' },
  correlationId: { correlationId: 'somebody else\u0001' },
  causationId: { causationId: 'home/999999\u0001' },
  payloadDigest: { payloadDigest: sha256('another payload') },
  hash: { hash: 'f'.repeat(64) },
} as const satisfies Partial<Record<keyof LedgerRecord, Partial<LedgerRecord>>>;

function replaced(records: readonly StoredRecord[], index: number, change: object): StoredRecord[] {
  return records.map((record, at) => (at === index ? { ...record, ...change } : record));
}

async function* streamed(records: readonly StoredRecord[]): AsyncGenerator<StoredRecord> {
  yield* records;
}

describe('an honest chain', () => {
  test('fits, and its report tells length and head', async () => {
    await fc.assert(
      fc.asyncProperty(chain, async (records) => {
        const anchoredHead = headOf(records);
        const report = { stream: taskId, records: records.length, head: anchoredHead, broken: null };
        expect(await verifyChain(taskId, records, { anchoredHead })).toEqual(report);
        expect(await verifyChain(taskId, streamed(records), { anchoredHead })).toEqual(report);
      }),
    );
  });

  test('may be empty', async () => {
    expect(await verifyChain(taskId, [], { anchoredHead: genesis })).toEqual({
      stream: taskId,
      records: 0,
      head: { seq: 0, hash: genesisHash },
      broken: null,
    });
  });

  test('may begin after a base that pruning left, and not without it', async () => {
    await fc.assert(
      fc.asyncProperty(chainAndIndex(1, 1), async ([records, index]) => {
        const kept = records.slice(index + 1);
        const base = headOf(records.slice(0, index + 1));
        const options = { base, anchoredHead: headOf(records) };
        expect(await verifyChain(taskId, kept, options)).toMatchObject({ records: kept.length, broken: null });
        expect((await verifyChain(taskId, kept)).broken).toMatchObject({ seq: 1, fault: 'sequence-gap' });
        const forged = { seq: base.seq, hash: 'a'.repeat(64) };
        expect((await verifyChain(taskId, kept, { base: forged })).broken).toMatchObject({
          seq: base.seq + 1,
          fault: 'broken-link',
        });
      }),
    );
  });

  test('may have erased payloads where the erasure is known, and nowhere else', async () => {
    await fc.assert(
      fc.asyncProperty(chainAndIndex(), async ([records, index]) => {
        const erased = replaced(records, index, { payload: null });
        const seq = index + 1;
        expect((await verifyChain(taskId, erased, { erased: new Set([seq]) })).broken).toBeNull();
        for (const known of [undefined, new Set<number>(), new Set([seq + 1])]) {
          const { broken } = await verifyChain(taskId, erased, known === undefined ? {} : { erased: known });
          expect(broken).toMatchObject({ seq, fault: 'payload-missing' });
        }
      }),
    );
  });
});

describe('a changed chain', () => {
  test.each(Object.entries(tamper))('is noticed at the record whose %s was changed', async (_member, change) => {
    await fc.assert(
      fc.asyncProperty(chainAndIndex(), async ([records, index]) => {
        const report = await verifyChain(taskId, replaced(records, index, change));
        expect(report.broken).toMatchObject({ stream: taskId, seq: index + 1, fault: 'hash-mismatch' });
        expect(report).toMatchObject({ records: index, head: headOf(records.slice(0, index)) });
      }),
    );
  });

  test.each([
    ['stream', { stream: 'home' }, 'foreign-stream'],
    ['seq', { seq: 4_711 }, 'sequence-gap'],
    ['prevHash', { prevHash: 'e'.repeat(64) }, 'broken-link'],
  ] as const)('is noticed at the record whose %s was changed, by its kind of fault', async (_member, change, fault) => {
    await fc.assert(
      fc.asyncProperty(chainAndIndex(), async ([records, index]) => {
        const { broken } = await verifyChain(taskId, replaced(records, index, change));
        expect(broken).toMatchObject({ seq: index + 1, fault });
      }),
    );
  });

  test('is noticed at the next record, or by the head, when the changed record was hashed anew', async () => {
    await fc.assert(
      fc.asyncProperty(chainAndIndex(), fc.constantFrom(...Object.values(tamper)), async ([records, index], change) => {
        const [changed] = replaced(records, index, change).slice(index, index + 1) as [StoredRecord];
        const payload = 'another payload';
        const forged = { ...changed, payload, payloadDigest: sha256(payload) };
        const rehashed = replaced(records, index, { ...forged, hash: hashRecord(forged) });
        const { broken } = await verifyChain(taskId, rehashed, { anchoredHead: headOf(records) });
        expect(broken?.fault).toBe(index === records.length - 1 ? 'head-mismatch' : 'broken-link');
        expect(broken?.seq).toBe(index === records.length - 1 ? records.length + 1 : index + 2);
      }),
    );
  });

  test('is noticed at the record whose payload text was changed, in whatever way', async () => {
    await fc.assert(
      fc.asyncProperty(chainAndIndex(), fc.string(), async ([records, index], suffix) => {
        const payload = `${records[index]?.payload} ${suffix}`;
        const { broken } = await verifyChain(taskId, replaced(records, index, { payload }));
        expect(broken).toMatchObject({ seq: index + 1, fault: 'payload-mismatch' });
      }),
    );
  });

  test('is reported, not thrown, when a record holds what cannot be hashed', async () => {
    const records = chainOf(fc.sample(recordDraft, { numRuns: 3, seed: 7 }));
    const actor = { ...records[1]?.actor, id: '\ud800' };
    expect((await verifyChain(taskId, replaced(records, 1, { actor }))).broken).toMatchObject({
      seq: 2,
      fault: 'unparsable',
    });
  });

  test('stops reading at the first fault', async () => {
    const records = replaced(chainOf(fc.sample(recordDraft, { numRuns: 5, seed: 7 })), 1, { token: -1 });
    let read = 0;
    const counted = (function* () {
      for (const record of records) {
        read += 1;
        yield record;
      }
    })();
    await verifyChain(taskId, counted);
    expect(read).toBe(2);
  });
});

describe('a chain with records missing, moved or added', () => {
  test('is noticed at the first record that was dropped', async () => {
    await fc.assert(
      fc.asyncProperty(chainAndIndex(1, 1), async ([records, index]) => {
        const { broken } = await verifyChain(taskId, records.toSpliced(index, 1));
        expect(broken).toMatchObject({
          seq: index + 1,
          fault: 'sequence-gap',
          expected: String(index + 1),
          found: String(index + 2),
        });
      }),
    );
  });

  test('is noticed at the first of two swapped records', async () => {
    await fc.assert(
      fc.asyncProperty(chainAndIndex(1, 1), async ([records, index]) => {
        const [first, second] = records.slice(index, index + 2) as [StoredRecord, StoredRecord];
        const { broken } = await verifyChain(taskId, records.toSpliced(index, 2, second, first));
        expect(broken).toMatchObject({ seq: index + 1, fault: 'sequence-gap' });
      }),
    );
  });

  test('is noticed where a record appears twice', async () => {
    await fc.assert(
      fc.asyncProperty(chainAndIndex(), async ([records, index]) => {
        const twice = records.toSpliced(index, 0, ...records.slice(index, index + 1));
        expect((await verifyChain(taskId, twice)).broken).toMatchObject({ seq: index + 2, fault: 'sequence-gap' });
      }),
    );
  });

  test('is noticed by the anchored head when its tail was cut, and not without one', async () => {
    await fc.assert(
      fc.asyncProperty(chainAndIndex(), async ([records, kept]) => {
        const cut = records.slice(0, kept);
        const { broken } = await verifyChain(taskId, cut, { anchoredHead: headOf(records) });
        expect(broken).toMatchObject({
          seq: kept + 1,
          fault: 'head-mismatch',
          expected: `${records.length}:${headOf(records).hash}`,
        });
        expect((await verifyChain(taskId, cut)).broken).toBeNull();
      }),
    );
  });

  test('is noticed by the anchored head when records were added past it', async () => {
    await fc.assert(
      fc.asyncProperty(chainAndIndex(), async ([records, kept]) => {
        const anchoredHead = headOf(records.slice(0, kept));
        const { broken } = await verifyChain(taskId, records, { anchoredHead });
        expect(broken).toMatchObject({ seq: kept + 1, fault: 'head-mismatch' });
      }),
    );
  });
});
