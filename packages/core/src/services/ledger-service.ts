import { isId } from '../domain/ids.ts';
import type { RecordPayload, StreamId } from '../ledger/ledger-record.ts';
import type { ChainReport } from '../ledger/verify-chain.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Kernel } from './kernel.ts';
import type { LedgerService } from './services.ts';

const verifyLimit =
  'A clean report proves that no record was changed, dropped, reordered or cut without the database being rewritten as a whole. ' +
  'Whoever owns the database can do that; keep a head elsewhere to notice it.';

const pageSize = 1_000;

export function createLedgerService(kernel: Kernel): LedgerService {
  const { ledger, tasks } = kernel.deps;
  return {
    head: (stream) => ledger.head(stream),
    history: async (taskId, options) => {
      if ((await tasks.findTask(taskId)) === undefined && (await tasks.findReceipt(taskId)) === undefined) {
        throw new OpencodeToolsError('OCT_TASK_NOT_FOUND', `No task has the id ${taskId}`);
      }
      return ledger.read(taskId, { newestFirst: true, ...options });
    },
    verify: async (taskId) => {
      const expected = await createdTasks(kernel);
      const streams = taskId === undefined ? new Set([...(await ledger.listStreams()), ...expected]) : [taskId];
      const chains: ChainReport[] = [];
      for (const stream of streams) {
        const report = await ledger.verify(stream);
        chains.push(report.records === 0 && expected.has(stream) ? missing(report) : report);
      }
      return {
        ok: chains.every((chain) => chain.broken === null),
        chains,
        records: chains.reduce((sum, chain) => sum + chain.records, 0),
        limit: verifyLimit,
      };
    },
  };
}

/** The tasks whose creation the home's own chain tells of: each must have a chain. */
async function createdTasks(kernel: Kernel): Promise<ReadonlySet<StreamId>> {
  const created = new Set<StreamId>();
  let afterSeq = 0;
  for (;;) {
    const records = await kernel.deps.ledger.read('home', { afterSeq, limit: pageSize, types: ['task.created'] });
    for (const { payload, seq } of records) {
      afterSeq = seq;
      const { taskId } = (JSON.parse(payload ?? '{}') as Partial<RecordPayload>).detail ?? {};
      if (typeof taskId === 'string' && isId('task', taskId)) created.add(taskId);
    }
    if (records.length < pageSize) return created;
  }
}

function missing(report: ChainReport): ChainReport {
  if (report.broken !== null) return report;
  const broken = {
    stream: report.stream,
    seq: 1,
    fault: 'chain-missing',
    expected: 'task.created',
    found: 'no record',
  } as const;
  return { ...report, broken };
}
