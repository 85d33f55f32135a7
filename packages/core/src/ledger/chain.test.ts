import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chain, genesis, headOf, homeId, recordDraft, taskId } from '../../test/records.ts';
import { canonicalJson } from './canonical-json.ts';
import { hashRecord, linkRecord, prepareDraft, sha256 } from './chain.ts';
import type { Actor, RecordDraft } from './ledger-record.ts';
import type { JsonObject } from '../domain/json.ts';

const actor: Actor = { kind: 'user', id: 'ada', agent: null, model: null, session: null, onBehalfOf: null };
const draft: RecordDraft = { stream: taskId, type: 'note.added', actor, puts: [] };
const stamp = { at: '2026-11-20T08:15:30.123Z', homeId };

describe('prepareDraft', () => {
  test('writes puts and detail as canonical JSON and digests exactly that text', () => {
    const prepared = prepareDraft({ ...draft, detail: { b: 1e21, a: 'ü' } });
    expect(prepared.payload).toBe('{"detail":{"a":"ü","b":1e+21},"puts":[]}');
    expect(prepared.payloadDigest).toBe(createHash('sha256').update(prepared.payload, 'utf8').digest('hex'));
  });

  test('gives a draft without detail an empty one', () => {
    expect(prepareDraft(draft).payload).toBe('{"detail":{},"puts":[]}');
  });

  test('refuses a detail that JSON cannot hold', () => {
    expect(() => prepareDraft({ ...draft, detail: { bad: Number.NaN } })).toThrow(
      expect.objectContaining({ code: 'OCT_INVALID_ARGUMENT' }),
    );
  });
});

describe('linkRecord', () => {
  test('numbers from the head, fills what the draft leaves open with null, and gives a record of the known format', () => {
    expect(linkRecord(prepareDraft(draft), genesis, stamp)).toEqual({
      v: 1,
      stream: taskId,
      seq: 1,
      type: 'note.added',
      at: '2026-11-20T08:15:30.123Z',
      actor,
      homeId,
      token: null,
      operationId: null,
      correlationId: null,
      causationId: null,
      payloadDigest: sha256('{"detail":{},"puts":[]}'),
      prevHash: '0'.repeat(64),
      hash: 'e0a69f588552729621cbf6129e4f32c4d4048dd7a384d672d4682b865a189145',
    });
  });

  test('hashes the canonical bytes of the record without hash and payload', () => {
    fc.assert(
      fc.property(recordDraft, (random) => {
        const { hash, ...covered } = linkRecord(prepareDraft(random), genesis, stamp);
        expect(hash).toBe(sha256(canonicalJson(covered as unknown as JsonObject)));
      }),
    );
  });

  test('links each record to the one before and numbers without gaps', () => {
    fc.assert(
      fc.property(chain, (records) => {
        expect(records.map((record) => record.seq)).toEqual(records.map((_, index) => index + 1));
        expect(records.map((record) => record.prevHash)).toEqual([
          genesis.hash,
          ...records.slice(0, -1).map((record) => record.hash),
        ]);
        expect(headOf(records).seq).toBe(records.length);
      }),
    );
  });
});

describe('hashRecord', () => {
  test('covers neither the payload text nor members it does not know', () => {
    const record = linkRecord(prepareDraft(draft), genesis, stamp);
    expect(hashRecord({ ...record, payload: 'erased', extra: 1 } as typeof record)).toBe(record.hash);
  });

  test('is the same for an actor that is frozen, however often, and for one that is not', () => {
    const record = linkRecord(prepareDraft(draft), genesis, stamp);
    const frozen = { ...record, actor: Object.freeze({ ...actor }) };
    const other = { ...record, actor: Object.freeze({ ...actor, id: 'bob' }) };
    const expected = (given: typeof record): string => {
      const { hash: _, ...covered } = given;
      return sha256(canonicalJson(covered as unknown as JsonObject));
    };
    for (const given of [frozen, other, frozen, other]) expect(hashRecord(given)).toBe(expected(given));
    expect(hashRecord(frozen)).toBe(record.hash);
  });

  test('notices a change of an actor that is not frozen', () => {
    const changing = { ...actor };
    const record = { ...linkRecord(prepareDraft(draft), genesis, stamp), actor: changing };
    expect(hashRecord(record)).toBe(record.hash);
    Object.assign(changing, { id: 'bob' });
    expect(hashRecord(record)).not.toBe(record.hash);
  });

  test.each([
    [{}, '{}'],
    [{ v: 1 }, '{"v":1}'],
    [{ actor: 'ada', v: 1 }, '{"actor":"ada","v":1}'],
    [{ actor: null, seq: 2 }, '{"actor":null,"seq":2}'],
  ])('covers of %j what is there', (record, text) => {
    expect(hashRecord(record as never)).toBe(sha256(text));
  });
});
