import type { ChainReport } from '../ledger/verify-chain.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Kernel } from './kernel.ts';
import type { LedgerService } from './services.ts';

const verifyLimit =
  'A clean report proves that no record was changed, dropped, reordered or cut without the database being rewritten as a whole. ' +
  'Whoever owns the database can do that; keep a head elsewhere to notice it.';

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
      const chains: ChainReport[] = [];
      for (const stream of taskId === undefined ? await ledger.listStreams() : [taskId])
        chains.push(await ledger.verify(stream));
      return {
        ok: chains.every((chain) => chain.broken === null),
        chains,
        records: chains.reduce((sum, chain) => sum + chain.records, 0),
        limit: verifyLimit,
      };
    },
  };
}
