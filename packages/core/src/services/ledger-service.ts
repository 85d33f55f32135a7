import { type TaskId, isId } from '../domain/ids.ts';
import type { RecordPayload, StreamId } from '../ledger/ledger-record.ts';
import type { BrokenRecord, ChainsReport } from '../ledger/verify-chain.ts';
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
      const { chains, records, broken } = await (taskId === undefined ? verifyAll(kernel) : verifyOne(kernel, taskId));
      return { ok: broken.length === 0, chains, records, broken, limit: verifyLimit };
    },
  };
}

async function verifyOne(kernel: Kernel, taskId: TaskId): Promise<ChainsReport> {
  const { records, broken } = await kernel.deps.ledger.verify(taskId);
  if (broken !== null) return { chains: 1, records, broken: [broken] };
  if (records > 0) return { chains: 1, records, broken: [] };
  for await (const created of createdTasks(kernel)) {
    if (created.includes(taskId)) return { chains: 1, records, broken: [missing(taskId)] };
  }
  return { chains: 1, records, broken: [] };
}

async function verifyAll(kernel: Kernel): Promise<ChainsReport> {
  const { chains, records, broken } = await kernel.deps.ledger.verifyAll();
  const known = new Set(broken.map(({ stream }) => stream));
  const absent: BrokenRecord[] = [];
  for await (const created of createdTasks(kernel)) {
    for (const stream of await kernel.deps.ledger.withoutChain(created)) {
      if (!known.has(stream)) absent.push(missing(stream));
    }
  }
  return { chains: chains + absent.length, records, broken: [...broken, ...absent] };
}

/** The tasks whose creation the home's own chain tells of, a page at a time: each must have a chain. */
async function* createdTasks(kernel: Kernel): AsyncGenerator<readonly TaskId[]> {
  for (let afterSeq = 0; ;) {
    const records = await kernel.deps.ledger.read('home', { afterSeq, limit: pageSize, types: ['task.created'] });
    const created: TaskId[] = [];
    for (const { payload, seq } of records) {
      afterSeq = seq;
      const taskId = taskOf(payload);
      if (taskId !== undefined) created.push(taskId);
    }
    yield created;
    if (records.length < pageSize) return;
  }
}

/** Undefined where the text was changed: the chain of the home tells of that. */
function taskOf(payload: string | null): TaskId | undefined {
  try {
    const { taskId } = (JSON.parse(payload ?? '{}') as Partial<RecordPayload>).detail ?? {};
    return typeof taskId === 'string' && isId('task', taskId) ? taskId : undefined;
  } catch {
    return undefined;
  }
}

function missing(stream: StreamId): BrokenRecord {
  return { stream, seq: 1, fault: 'chain-missing', expected: 'task.created', found: 'no record' };
}
