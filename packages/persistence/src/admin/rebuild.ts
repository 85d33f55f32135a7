import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import {
  type HomeId,
  OpencodeToolsError,
  type RebuildReport,
  type RecordPayload,
  type StreamId,
  isOpencodeToolsError,
  toTimestamp,
} from '@opencode-tools/core';
import { readHomeId } from '../home/home-file.ts';
import { openIntact } from './current-registry.ts';
import { installFile, replaceContents } from './install.ts';
import { type SoundLog, readSoundLog } from './log-records.ts';
import type { MaintenanceContext } from './maintenance-context.ts';
import { rawPer } from './raw.ts';
import { streamsWithLogs } from './roll-forward.ts';
import { type Scratch, emptyScratch, identify } from './scratch.ts';
import { stateOf, tokensInFiles } from './seen-tokens.ts';
import { takeInChains } from './take-in-chains.ts';

const mostPerTransaction = 5_000;

type Loss = RebuildReport['lost'][number];

/** Makes a registry that is lost again from the logs of its tasks and of the home. */
export async function rebuildRegistry(
  ctx: MaintenanceContext,
  options: { readonly dryRun?: boolean },
): Promise<RebuildReport> {
  await using current = await openIntact(ctx);
  if (current.usable) throw stillThere(ctx.directory);
  await using made = await emptyScratch(ctx);
  const homeId = homeOf(ctx.directory);
  await made.engine.write(() => identify(homeId, toTimestamp(ctx.clock.nowMs())));
  ctx.onStep('rebuild: replay');
  const { lost, records, tasks, newest } = await replayAll(ctx, made, homeId);
  const dryRun = options.dryRun === true;
  const report = { dryRun, tasks, records, lost, epoch: null, keptAside: null };
  if (dryRun) return report;
  ctx.onStep('rebuild: install');
  const start = {
    homeId,
    reason: 'rebuilt',
    after: newest.epoch,
    seenTokens: seenTokens(ctx.directory, newest.tokenFloor),
    because: { type: 'store.rebuilt', detail: { tasks, records, lost: lost.map((loss) => ({ ...loss })) } } as const,
  };
  if (ctx.place.engine === 'postgres' && current.engine !== null) {
    const placed = await replaceContents(ctx, current.engine, made, { ...start, schemaVersion: 0 });
    return { ...report, epoch: placed?.epoch ?? null };
  }
  return { ...report, ...(await installFile(ctx, made, start)) };
}

async function replayAll(ctx: MaintenanceContext, made: Scratch, homeId: HomeId) {
  const lost: Loss[] = [];
  let records = 0;
  let tasks = 0;
  // The first epoch is not recorded.
  let newest = { epoch: 1, tokenFloor: 0 };
  const streams = streamsWithLogs(ctx.directory);
  for (const logs of batchesOf(streams, lost)) {
    for (const [stream, added] of await replay(made, homeId, logs, lost)) {
      records += added;
      if (stream !== 'home' && added > 0) tasks += 1;
    }
    const home = logs.get('home');
    if (home !== undefined) newest = lastEpoch(home);
  }
  lost.push(...missingTasks(ctx.directory, streams));
  await made.engine.write(function* () {
    yield rawPer({ sqlite: 'update streams set projected_seq = head_seq', postgres: '' });
  });
  return { lost, records, tasks, newest };
}

type Logs = ReadonlyMap<StreamId, SoundLog>;

/** So many logs as one transaction replays; what is wrong with one is noted. */
function* batchesOf(streams: ReadonlyMap<StreamId, string>, lost: Loss[]): Generator<Logs> {
  let batch = new Map<StreamId, SoundLog>();
  let records = 0;
  for (const [stream, directory] of streams) {
    const log = readSoundLog(stream, directory);
    lost.push(...lossesOf(stream, directory, log));
    if (log === undefined) continue;
    batch.set(stream, log);
    records += log.head.seq - log.base.seq;
    if (records < mostPerTransaction) continue;
    yield batch;
    [batch, records] = [new Map(), 0];
  }
  if (batch.size > 0) yield batch;
}

/** Replays logs, each whole or, when it meets a row that cannot be, not at all: which is reported. */
async function replay(
  made: Scratch,
  homeId: HomeId,
  logs: Logs,
  lost: Loss[],
): Promise<readonly (readonly [StreamId, number])[]> {
  const given = () =>
    [...logs].map(([stream, log]) => ({ stream, homeId, base: log.base, erased: log.erased, records: log.records() }));
  try {
    const taken = await made.engine.write(() => takeInChains(made.engine.traits, given()));
    return [...logs.keys()].map((stream, index) => [stream, taken[index]?.added ?? 0]);
  } catch (error) {
    // A full disk says nothing about the log: it ends the rebuild, and the next one has it whole.
    if (!isOpencodeToolsError(error) || error.family === 'unavailable') throw error;
    if (logs.size > 1) return await replayEach(made, homeId, logs, lost);
    for (const stream of logs.keys())
      lost.push({ subject: stream, fault: `It could not be replayed: ${error.message}` });
    return [];
  }
}

/** One of them cannot be replayed: the others can. */
async function replayEach(made: Scratch, homeId: HomeId, logs: Logs, lost: Loss[]) {
  const taken: (readonly [StreamId, number])[] = [];
  for (const one of logs) taken.push(...(await replay(made, homeId, new Map([one]), lost)));
  return taken;
}

function lossesOf(stream: StreamId, directory: string, log: SoundLog | undefined): readonly Loss[] {
  const loss = (fault: string): Loss => ({ subject: stream, fault });
  if (log === undefined) return [loss('It has no log that can be read')];
  const losses: Loss[] = [];
  if (log.fault !== null) losses.push(loss(`The log was read up to record ${log.head.seq}: ${log.fault}`));
  const newest = stateOf(directory)?.ledger?.seq;
  if (log.fault === null && typeof newest === 'number' && newest > log.head.seq) {
    losses.push(loss(`The log ends at record ${log.head.seq}, but there were ${newest}`));
  }
  if (log.base.seq > 0 && !wasPruned(log)) losses.push(loss(`Records 1 to ${log.base.seq} are missing`));
  return losses;
}

function wasPruned(log: SoundLog): boolean {
  for (const { type, payload } of log.records()) {
    if (type !== 'ledger.pruned' || payload === null) continue;
    if ((JSON.parse(payload) as RecordPayload).detail['baseSeq'] === log.base.seq) return true;
  }
  return false;
}

function lastEpoch(log: SoundLog): { readonly epoch: number; readonly tokenFloor: number } {
  let [epoch, tokenFloor] = [1, 0];
  for (const { type, payload } of log.records()) {
    if (type !== 'store.epoch_started' || payload === null) continue;
    const { detail } = JSON.parse(payload) as RecordPayload;
    epoch = Math.max(epoch, Number(detail['epoch'] ?? 0));
    tokenFloor = Math.max(tokenFloor, Number(detail['tokenFloor'] ?? 0));
  }
  return { epoch, tokenFloor };
}

/** Per stream the largest token that it, or the epoch, can have given out. */
function seenTokens(directory: string, tokenFloor: number): ReadonlyMap<string, number> {
  const seen = new Map([...streamsWithLogs(directory).keys()].map((stream) => [stream as string, tokenFloor]));
  for (const [stream, token] of tokensInFiles(directory)) seen.set(stream, Math.max(token, tokenFloor));
  return seen;
}

/** Tasks that the home's log knows and that have no files, and directories that are none of a task. */
function missingTasks(directory: string, streams: ReadonlyMap<StreamId, string>): readonly Loss[] {
  const home = streams.has('home') ? readSoundLog('home', directory) : undefined;
  if (home === undefined)
    return [{ subject: 'home', fault: 'Its log is missing: a task without files would not be noticed' }];
  const known = new Set<StreamId>();
  for (const { type, payload } of home.records()) {
    if ((type !== 'task.created' && type !== 'ledger.forgotten') || payload === null) continue;
    const { taskId } = (JSON.parse(payload) as RecordPayload).detail as { readonly taskId?: StreamId };
    if (taskId === undefined) continue;
    if (type === 'task.created') known.add(taskId);
    else known.delete(taskId);
  }
  const lost: Loss[] = [];
  for (const taskId of known) if (!streams.has(taskId)) lost.push({ subject: taskId, fault: 'It has no files' });
  const tasks = path.join(directory, 'tasks');
  for (const name of existsSync(tasks) ? readdirSync(tasks) : []) {
    if (!streams.has(name as StreamId))
      lost.push({ subject: `tasks/${name}`, fault: 'It is not the directory of a task' });
  }
  return lost;
}

function homeOf(directory: string): HomeId {
  const [first] = readSoundLog('home', directory)?.records() ?? [];
  const homeId = readHomeId(directory) ?? first?.homeId;
  if (homeId !== undefined) return homeId;
  throw new OpencodeToolsError('OCT_STATE_CORRUPT', `Nothing in ${directory} says which home it is`, {
    remedy: 'Put home.json back, with the id that the labels of its containers name.',
    details: { directory },
  });
}

function stillThere(directory: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The registry of ${directory} is there and can be read`, {
    remedy: 'Use `opencode-tools doctor`, or `opencode-tools db restore` to go back to a backup.',
    details: { directory },
  });
}
