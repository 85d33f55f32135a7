import { type HomeId, OpencodeToolsError, type RestoreReport, type StoreBackup } from '@opencode-tools/core';
import { readHomeId } from '../home/home-file.ts';
import { firstRow } from '../query/plan.ts';
import { backUpWithFacts, findBackup } from './backup.ts';
import { type CurrentRegistry, openIntact } from './current-registry.ts';
import { fileTime } from './files.ts';
import { homeMismatch, installFile, replaceContents } from './install.ts';
import { readSoundLog } from './log-records.ts';
import { type MaintenanceContext, storeContext } from './maintenance-context.ts';
import { rawPer } from './raw.ts';
import { readFacts } from './registry-facts.ts';
import { keepLogAside, rollForward, streamsWithLogs } from './roll-forward.ts';
import { type Scratch, restoredScratch, upgradeScratch } from './scratch.ts';
import { tokensInFiles } from './seen-tokens.ts';
import type { StartEpoch } from './start-epoch.ts';
import { verifyRegistry } from './verify-registry.ts';

export interface RestoreOptions {
  readonly file: string;
  readonly dryRun?: boolean;
  readonly rollForward?: boolean;
}

const mostTries = 3;

/** Restores a backup on the side, checks it, saves the present, then puts the one in the other's place. */
export async function restoreBackup(ctx: MaintenanceContext, options: RestoreOptions): Promise<RestoreReport> {
  const from = await findBackup(ctx, options.file);
  await using current = await openIntact(ctx);
  await using made = await restoredScratch(ctx, from.file);
  const homeId = await checkScratch(ctx, made, from);
  const report: RestoreReport = {
    dryRun: options.dryRun === true,
    from,
    saved: null,
    keptAside: null,
    epoch: null,
    rolledForward: 0,
    filesKeptAside: [],
  };
  if (report.dryRun) return report;
  ctx.onStep('restore: roll forward');
  const rolledForward =
    (options.rollForward ?? !current.usable) ? await rollForward(made.engine, ctx.directory, homeId) : 0;
  ctx.onStep('restore: files');
  const filesKeptAside = await matchFiles(ctx, made);
  const start = { ...startOf(from, rolledForward), homeId };
  const done = await putInPlace(ctx, current, made, start);
  return { ...report, ...done, rolledForward, filesKeptAside };
}

async function putInPlace(
  ctx: MaintenanceContext,
  current: CurrentRegistry,
  made: Scratch,
  start: StartEpoch & { readonly homeId: HomeId },
): Promise<Pick<RestoreReport, 'saved' | 'keptAside' | 'epoch'>> {
  const seenTokens = tokensInFiles(ctx.directory);
  if (!current.usable) {
    ctx.onStep('restore: install');
    if (ctx.place.engine === 'postgres' && current.engine !== null) {
      const placed = await replaceContents(ctx, current.engine, made, { ...start, seenTokens, schemaVersion: 0 });
      return { saved: null, keptAside: null, epoch: placed?.epoch ?? null };
    }
    return { saved: null, ...(await installFile(ctx, made, { ...start, seenTokens })) };
  }
  const { engine, identity } = current;
  for (let tries = 1; tries <= mostTries; tries += 1) {
    const { backup, facts } = await backUpWithFacts(ctx, engine, 'before-restore');
    ctx.onStep('restore: replace');
    const placed = await replaceContents(ctx, engine, made, {
      ...start,
      seenTokens,
      expected: facts,
      schemaVersion: identity.schemaVersion,
    });
    if (placed !== null) return { saved: backup, keptAside: null, epoch: placed.epoch };
  }
  throw new OpencodeToolsError('OCT_STORE_UNAVAILABLE', 'The registry is being written while it should be restored', {
    remedy: 'Let the agents and servers that use this home finish, then try again.',
  });
}

function startOf(from: StoreBackup, rolledForward: number): StartEpoch {
  const { file, at, digest } = from;
  return {
    reason: 'restored',
    after: from.epoch,
    because: { type: 'store.restored', detail: { backup: file.split('/').at(-1) ?? file, at, digest, rolledForward } },
  };
}

/** @throws OpencodeToolsError `OCT_STATE_CORRUPT`, `OCT_LEDGER_BROKEN`; `OCT_INVALID_ARGUMENT` for another home's */
async function checkScratch(ctx: MaintenanceContext, made: Scratch, from: StoreBackup): Promise<HomeId> {
  const facts = await made.engine.snapshot(readFacts);
  const inFile = readHomeId(ctx.directory);
  const homeId = inFile ?? (facts.homes[0] as HomeId | undefined);
  if (homeId === undefined || !facts.homes.includes(homeId)) {
    throw homeMismatch(ctx.directory, homeId ?? ('none' as HomeId), facts.homes);
  }
  await upgradeScratch(made, facts.schemaVersion);
  const { ok, broken, problems } = await verifyRegistry(storeContext(ctx, made.engine, homeId));
  if (ok) return homeId;
  const [first] = broken;
  const fault = first === undefined ? problems[0] : `${first.stream} record ${first.seq}: ${first.fault}`;
  throw new OpencodeToolsError('OCT_STATE_CORRUPT', `The backup ${from.file} is not whole: ${fault ?? ''}`, {
    remedy: 'Choose another one with `opencode-tools db backups`.',
    details: { file: from.file },
  });
}

/**
 * Lets the marks of the projections agree with the files that are there. A log that says something else than its chain is
 * put aside before the registry is replaced: should that not happen, it is written again.
 */
async function matchFiles(ctx: MaintenanceContext, made: Scratch): Promise<readonly string[]> {
  const time = fileTime(ctx.clock.nowMs());
  const kept: string[] = [];
  const marks = new Map<string, number>();
  for (const [stream, directory] of streamsWithLogs(ctx.directory)) {
    const log = readSoundLog(stream, directory);
    const known = log === undefined ? undefined : await made.engine.read(() => recordHash(stream, log.head.seq));
    if (log !== undefined && log.fault === null && known === log.head.hash) marks.set(stream, log.head.seq);
    else kept.push(...keepLogAside(directory, time));
  }
  await made.engine.write(function* () {
    yield rawPer({ sqlite: 'update streams set projected_seq = base_seq', postgres: '' });
    for (const [stream, seq] of marks) {
      yield rawPer({ sqlite: 'update streams set projected_seq = ? where stream = ?', postgres: '' }, [seq, stream]);
    }
  });
  return kept;
}

function* recordHash(stream: string, seq: number) {
  const statement = { sqlite: 'select hash from ledger where stream = ? and seq = ?', postgres: '' };
  return (yield* firstRow(rawPer<{ hash: string }>(statement, [stream, seq])))?.hash;
}
