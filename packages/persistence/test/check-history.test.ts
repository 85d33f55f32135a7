import { type Claim, type Lease, type Put, type StoredRecord, linkRecord, prepareDraft } from '@opencode-tools/core';
import { sampleActor, sampleIds, sampleTask } from '@opencode-tools/testkit';
import { describe, expect, test } from 'vitest';
import { historyFaults } from './check-history.ts';

const homeId = 'hom_00000000000000000000000001';
const task = sampleTask(homeId, { leaseMode: 'collaborative', maxAgents: 2 });

type Step = readonly [type: string, token: number | null, put?: Put];

function history(...steps: readonly Step[]): readonly StoredRecord[] {
  const all: readonly Step[] = [['task.created', null, { noun: 'task', value: task }], ...steps];
  let head = { seq: 0, hash: '0'.repeat(64) };
  return all.map(([type, token, put]) => {
    const draft = {
      stream: task.id,
      type: type as 'task.created',
      actor: sampleActor,
      puts: put === undefined ? [] : [put],
      token,
    };
    const prepared = prepareDraft(draft);
    const record = linkRecord(prepared, head, { at: '2026-11-20T08:00:00.000Z', homeId });
    head = { seq: record.seq, hash: record.hash };
    return { ...record, payload: prepared.payload };
  });
}

function lease(token: number, state: Lease['state'] = 'held'): Put {
  const moment = '2026-11-20T08:00:00.000Z';
  const ids = { id: `lse_${token}`, sessionId: `ses_${token}`, taskId: task.id } as const;
  const times = { ttlMs: 1_000, acquiredAt: moment, renewedAt: moment, expiresAt: moment, endedAt: null };
  return { noun: 'lease', value: { ...ids, ...times, mode: 'collaborative', token, state } };
}

function claim(token: number, globs: { read?: string[]; write?: string[] }): Put {
  const moment = '2026-11-20T08:00:00.000Z';
  const value: Claim = {
    id: sampleIds.next('claim'),
    taskId: task.id,
    sessionId: `ses_${token}`,
    leaseId: `lse_${token}`,
    agent: 'a',
    read: globs.read ?? [],
    write: globs.write ?? [],
    state: 'active',
    version: 1,
    claimedAt: moment,
    endedAt: null,
    endReason: null,
  };
  return { noun: 'claim', value };
}

describe('the checker of histories', () => {
  test('finds nothing in a sound one', () => {
    const sound = history(
      ['lease.acquired', 1, lease(1)],
      ['lease.acquired', 2, lease(2)],
      ['claim.granted', 1, claim(1, { write: ['a/**'] })],
      ['claim.granted', 2, claim(2, { write: ['b'] })],
      ['note.added', 1],
      ['lease.released', 1, lease(1, 'released')],
      ['lease.acquired', 5, lease(5)],
    );
    expect(historyFaults(sound)).toEqual([]);
  });

  const faulty: readonly (readonly [fault: string, ...steps: Step[]])[] = [
    ['3 lease.acquired: token 3 after 4', ['lease.acquired', 4, lease(4)], ['lease.acquired', 3, lease(3)]],
    [
      '4 lease.acquired: 3 leases where 2 are allowed',
      ['lease.acquired', 1, lease(1)],
      ['lease.acquired', 2, lease(2)],
      ['lease.acquired', 3, lease(3)],
    ],
    [
      '4 note.added: token 1 has ended',
      ['lease.acquired', 1, lease(1)],
      ['lease.revoked', 1, lease(1, 'revoked')],
      ['note.added', 1],
    ],
    [
      '4 lease.revoked: lease lse_1 had ended before',
      ['lease.acquired', 1, lease(1)],
      ['lease.released', 1, lease(1, 'released')],
      ['lease.revoked', 1, lease(1, 'revoked')],
    ],
    ['2 claim.granted: claim without a lease', ['claim.granted', null, claim(1, { read: ['a'] })]],
  ];
  test.each(faulty)('names %s', (...[fault, ...steps]) => {
    expect(historyFaults(history(...(steps as Step[])))).toEqual([fault]);
  });

  test('names claims that overlap, and records that are missing', () => {
    const records = history(
      ['lease.acquired', 1, lease(1)],
      ['lease.acquired', 2, lease(2)],
      ['claim.granted', 1, claim(1, { write: ['a/**'] })],
      ['claim.granted', 2, claim(2, { read: ['*/b'] })],
    );
    expect(historyFaults(records)).toEqual([expect.stringMatching(/^5 claim.granted: claim overlaps clm_/)]);
    expect(historyFaults(records.filter(({ seq }) => seq !== 4))).toEqual(['5 claim.granted: follows 3']);
  });
});
