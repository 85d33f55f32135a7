import { existsSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { type HomeId, type MoveReport, OpencodeToolsError, type RegistryTarget } from '@opencode-tools/core';
import { switchHomeDatabase } from '../home/home-file.ts';
import { latestSchemaVersion } from '../migrations/migrations.ts';
import type { Engine } from '../query/engine.ts';
import { type UsableRegistry, openCurrent } from './current-registry.ts';
import { commitFile, fileTime } from './files.ts';
import type { MaintenanceContext } from './maintenance-context.ts';
import { copyLedger, copyRest } from './move-copy.ts';
import {
  type TargetState,
  inspectTarget,
  markMoved,
  movedMark,
  prepareTarget,
  resetTarget,
  startInTarget,
} from './move-marks.ts';
import { verifyCopy } from './move-verify.ts';
import { type RegistryPlace, openPlace, sqliteFileOf } from './registry-place.ts';
import { readFacts } from './registry-facts.ts';
import { backupDirectory } from './scratch.ts';
import { openSqliteFile } from './sqlite-file.ts';

interface Move {
  readonly ctx: MaintenanceContext;
  readonly source: UsableRegistry;
  readonly target: Engine;
  readonly homeId: HomeId;
  readonly to: RegistryPlace;
}

/**
 * Copies a registry to another engine while it is used, then stops its writers, copies the rest, compares everything and
 * switches. Killed at any point it is gone on with; until the home file is switched the old registry is the one.
 */
export async function moveRegistry(
  ctx: MaintenanceContext,
  options: { readonly to: RegistryTarget; readonly dryRun?: boolean },
): Promise<MoveReport> {
  const to: RegistryPlace = options.to;
  finishEarlier(ctx);
  await using source = await openCurrent(ctx);
  if (!source.usable) throw notUsable(source.fault);
  const homeId = movableHome(ctx, source, to);
  const file = await targetFile(ctx, to);
  if (options.dryRun === true && file !== null && !existsSync(file)) return await dryReport(source, file, 'new');
  const target = file === null ? await openPlace(ctx.directory, to) : openSqliteFile(file);
  if (target === undefined) throw notUsable('There is no database to move to');
  try {
    const move: Move = { ctx, source, target, homeId, to };
    if (options.dryRun !== true) return await carryOut(move);
    return await dryReport(source, target.location, await inspectTarget(target, homeId));
  } finally {
    await target.close();
    if (file !== null && !existsSync(file)) rmSync(`${file}-queue`, { force: true });
  }
}

async function carryOut(move: Move): Promise<MoveReport> {
  const { ctx, source, target, homeId, to } = move;
  const from = source.engine.location;
  ctx.onStep('move: prepare');
  let state = await prepareTarget(ctx, target, homeId);
  const resumed = state !== 'new';
  const frozen = (await movedMark(source.engine))?.startsWith('moving ') === true;
  if (state === 'ready' && !frozen) {
    await resetTarget(target, homeId);
    state = 'copying';
  }
  if (state !== 'ready') await copyAll(move);
  const facts = await source.engine.snapshot(readFacts);
  ctx.onStep('move: switch');
  switchOver(move);
  ctx.onStep('move: retire');
  await markMoved(source.engine, `moved ${target.location}`);
  const keptAs = await retire(ctx, source);
  const epoch = (await target.snapshot(readFacts)).epoch;
  const rows = Object.values(facts.counts).reduce((sum, count) => sum + count, 0);
  const chains = facts.counts['streams'] ?? 0;
  const names = { from, to: to.engine === 'sqlite' ? sqliteFileOf(ctx.directory) : target.location };
  return { dryRun: false, ...names, rows, chains, records: facts.records, epoch, keptAs, resumed };
}

async function copyAll({ ctx, source, target, homeId }: Move): Promise<void> {
  await copyLedger(ctx, source.engine, target);
  ctx.onStep('move: freeze');
  await markMoved(source.engine, `moving ${target.location}`);
  try {
    await copyLedger(ctx, source.engine, target);
    ctx.onStep('move: rest');
    await copyRest(ctx, source.engine, target);
    ctx.onStep('move: verify');
    await verifyCopy(ctx, source.engine, target);
  } catch (error) {
    await markMoved(source.engine, null);
    throw error;
  }
  ctx.onStep('move: epoch');
  await startInTarget(ctx, { source: source.engine, target, homeId });
}

/** From here on the new registry is the one: the home file is replaced as a whole. */
function switchOver({ ctx, target, homeId, to }: Move): void {
  if (to.engine === 'postgres') {
    switchHomeDatabase(ctx.directory, homeId, { engine: 'postgres', location: target.location, urlFrom: to.urlFrom });
    return;
  }
  const file = sqliteFileOf(ctx.directory);
  if (target.location !== file) commitFile(target.location, file);
  ctx.onStep('move: point');
  switchHomeDatabase(ctx.directory, homeId, null);
}

/** Keeps a registry file that is no longer used; a database stays where it is, marked. */
async function retire(ctx: MaintenanceContext, source: UsableRegistry): Promise<string> {
  if (ctx.place.engine === 'postgres') return source.engine.location;
  await source.engine.close();
  return keepOldFile(ctx);
}

function keepOldFile(ctx: MaintenanceContext): string {
  const file = sqliteFileOf(ctx.directory);
  const kept = path.join(backupDirectory(ctx), `${fileTime(ctx.clock.nowMs())}-moved.db`);
  for (const suffix of ['-wal', '-shm']) if (existsSync(file + suffix)) renameSync(file + suffix, kept + suffix);
  renameSync(file, kept);
  return kept;
}

/** An earlier move may have died after the switch: what it left is put aside, whatever is moved now. */
function finishEarlier(ctx: MaintenanceContext): void {
  if (ctx.place.engine === 'postgres' && existsSync(sqliteFileOf(ctx.directory)) && !existsSync(movingFile(ctx))) {
    keepOldFile(ctx);
  }
}

/** Gives up a move that has not been switched: the old registry takes writes again. */
export async function abandonMove(ctx: MaintenanceContext): Promise<void> {
  await using source = await openCurrent(ctx);
  if (!source.usable) throw notUsable(source.fault);
  if ((await movedMark(source.engine))?.startsWith('moving ') === true) await markMoved(source.engine, null);
  for (const suffix of ['', '-wal', '-shm', '-journal', '-queue']) rmSync(movingFile(ctx) + suffix, { force: true });
}

function movingFile(ctx: Pick<MaintenanceContext, 'directory'>): string {
  return path.join(ctx.directory, 'registry.moving.db');
}

/** The file to copy into; one that has its final name already is only waiting to be pointed at. */
async function targetFile(ctx: MaintenanceContext, to: RegistryPlace): Promise<string | null> {
  if (to.engine !== 'sqlite') return null;
  const done = sqliteFileOf(ctx.directory);
  return !existsSync(movingFile(ctx)) && existsSync(done) ? done : movingFile(ctx);
}

function movableHome(ctx: MaintenanceContext, source: UsableRegistry, to: RegistryPlace): HomeId {
  const { homes, schemaVersion } = source.identity;
  if (ctx.place.engine === to.engine) {
    throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The registry is on ${to.engine} already`, {
      details: { engine: to.engine, location: source.engine.location },
    });
  }
  if (schemaVersion !== latestSchemaVersion) {
    throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The registry has schema ${schemaVersion}`, {
      remedy: 'Run `opencode-tools db migrate` first.',
    });
  }
  const [homeId, ...others] = homes;
  if (homeId !== undefined && others.length === 0) return homeId;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The registry is shared by ${homes.length} homes`, {
    remedy: 'Only a registry of one home can move; export the ledgers of a task to take it elsewhere.',
    details: { homes },
  });
}

async function dryReport(source: UsableRegistry, to: string, state: TargetState): Promise<MoveReport> {
  const facts = await source.engine.snapshot(readFacts);
  const rows = Object.values(facts.counts).reduce((sum, count) => sum + count, 0);
  const places = { from: source.engine.location, to };
  const chains = facts.counts['streams'] ?? 0;
  return {
    dryRun: true,
    ...places,
    rows,
    chains,
    records: facts.records,
    epoch: null,
    keptAs: null,
    resumed: state !== 'new',
  };
}

function notUsable(fault: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_STATE_CORRUPT', `The registry cannot be moved: ${fault}`, {
    remedy: 'Restore a backup, or rebuild the registry, first.',
  });
}
