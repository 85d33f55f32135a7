import { describe, expect, test } from 'vitest';
import { kernelOver } from '../../test/kernel.ts';
import { chainOf, taskId } from '../../test/records.ts';
import type { Execution } from '../domain/execution.ts';
import type { Operation } from '../domain/operation.ts';
import type { RecordDraft, StoredRecord } from '../ledger/ledger-record.ts';
import { sessionsAlongside } from './sessions-alongside.ts';

const actor = { kind: 'system', id: 'test', agent: null, model: null, session: null, onBehalfOf: null } as const;
/** Records of a chain are a millisecond apart, the first of them at this one. */
const timeOf = (seq: number) => new Date(1_800_000_000_000 + seq - 1).toISOString();
const run = (name: string, startedAt: string, endedAt: string | null): Execution =>
  ({
    id: `exe_${name}`,
    taskId,
    sessionId: `ses_${name}`,
    operationId: `opn_${name}`,
    startedAt,
    endedAt,
  }) as Execution;
const record = (type: 'execution.requested' | 'execution.completed', execution: Execution): RecordDraft => ({
  stream: taskId,
  type,
  actor,
  operationId: execution.operationId,
  puts: [{ noun: 'execution', value: execution }],
});

/** What a kernel finds that has these chains and open operations; counts the records that were read. */
function world(records: readonly StoredRecord[], open: readonly Execution[]) {
  let read = 0;
  const kernel = kernelOver({
    tasks: {
      listOpenOperations: async () =>
        open.map(({ sessionId }) => ({ kind: 'execution', proof: { sessionId } }) as unknown as Operation),
    },
    ledger: {
      read: async (_: string, { beforeSeq = Infinity, limit = 100 } = {}) => {
        const page = records
          .filter(({ seq }) => seq < beforeSeq)
          .toReversed()
          .slice(0, limit);
        read += page.length;
        return page;
      },
    } as never,
  });
  return { kernel, read: () => read };
}

describe('sessions alongside an execution', () => {
  const short = (count: number, from: number) =>
    Array.from({ length: count }, (_, index) => {
      const name = `short-${from + index}`;
      return record('execution.completed', run(name, timeOf(from + index), timeOf(from + index)));
    });

  test('are those that ran when it began or began while it ran, whatever else came before and between', async () => {
    const own = run('own', timeOf(2_002), null);
    const late = run('late', timeOf(2_700), null);
    const records = chainOf([
      record('execution.requested', run('long', timeOf(1), null)),
      ...short(2_000, 2),
      record('execution.requested', own),
      ...short(600, 2_003),
      record('execution.completed', run('long', timeOf(1), timeOf(2_603))),
      record('execution.requested', late),
    ]);
    const { kernel, read } = world(records, [own, late, run('silent', timeOf(1), null)]);
    const sessions = await sessionsAlongside(kernel, own);
    const named = [...sessions].filter((session) => !session.startsWith('ses_short')).toSorted();
    expect(named).toEqual(['ses_late', 'ses_long', 'ses_silent']);
    expect([...sessions].filter((session) => session.startsWith('ses_short'))).toHaveLength(600);
    expect(read()).toBeLessThan(1_100);
  });

  test('are not those that had ended before, and not its own', async () => {
    const own = run('own', timeOf(5), null);
    const before = run('before', timeOf(1), timeOf(2));
    const records = chainOf([
      record('execution.requested', before),
      record('execution.completed', before),
      record('execution.requested', run('erased', timeOf(1), null)),
      record('execution.completed', run('other', timeOf(3), timeOf(3))),
      record('execution.requested', own),
    ]).map((each) => (each.payload?.includes('exe_erased') === true ? { ...each, payload: null } : each));
    expect(await sessionsAlongside(world(records, [own]).kernel, own)).toEqual(new Set());
  });
});
