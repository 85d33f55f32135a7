import { type Logger, type TaskId, isOpencodeToolsError } from '@opencode-tools/core';
import { readSoundLog } from '../admin/log-records.ts';
import { takeInRecords } from '../admin/take-in-chains.ts';
import type { StoreContext } from '../write/context.ts';
import { readLogTail } from './log-files.ts';
import { readExtent } from './projection-plans.ts';

/** Takes in what the log of a task has beyond the registry, when it goes on from where the registry ends. */
export async function rollLogForward(
  ctx: StoreContext,
  taskId: TaskId,
  directory: string,
  logger: Logger,
): Promise<void> {
  const { engine, homeId } = ctx;
  const [newest] = await readLogTail(directory, 1).catch(() => []);
  const extent = await engine.read(() => readExtent(taskId));
  if (newest === undefined || extent === undefined || extent.homeId !== homeId || newest.seq <= extent.headSeq) return;
  const log = readSoundLog(taskId, directory);
  if (log === undefined || log.fault !== null) return;
  const { base, erased } = log;
  const given = () => ({ stream: taskId, homeId, base, erased, records: log.records() });
  try {
    const { added } = await engine.write(() => takeInRecords(engine.traits, given()));
    logger.warn('A log was ahead of the registry and was taken in', { taskId, records: added });
  } catch (error) {
    if (!isOpencodeToolsError(error, 'OCT_LEDGER_BROKEN')) throw error;
  }
}
