import { existsSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { OpencodeToolsError, type StoreBackup, toTimestamp } from '@opencode-tools/core';
import type { Engine } from '../query/engine.ts';
import { firstRow } from '../query/plan.ts';
import { dumpPlan } from './dump-file.ts';
import { commitFile, digestFile, fileTime } from './files.ts';
import { type MaintenanceContext, storeContext } from './maintenance-context.ts';
import { raw } from './raw.ts';
import { type RegistryFacts, differences, readFacts } from './registry-facts.ts';
import { type Scratch, backupDirectory, restoredScratch } from './scratch.ts';
import { vacuumInto } from './sqlite-file.ts';
import { verifyRegistry } from './verify-registry.ts';

const manualReason = 'manual';
const automaticReasons: readonly string[] = ['before-migrate', 'before-rollback', 'before-restore', 'before-move'];

/**
 * Copies a registry into the home's backups, and restores the copy on the side to see that it is whole. A copy without its
 * description, which is written last, was never finished.
 *
 * @throws OpencodeToolsError `OCT_STATE_CORRUPT` when the copy does not hold what the registry does
 */
export async function backUp(
  ctx: MaintenanceContext,
  engine: Engine,
  reason: string = manualReason,
  dryRun = false,
): Promise<StoreBackup> {
  return (await backUpWithFacts(ctx, engine, reason, dryRun)).backup;
}

/** The same, with what the copy holds. */
export async function backUpWithFacts(
  ctx: MaintenanceContext,
  engine: Engine,
  reason: string,
  dryRun = false,
): Promise<{ readonly backup: StoreBackup; readonly facts: RegistryFacts }> {
  const atMs = ctx.clock.nowMs();
  const kind = engine.traits.engine;
  const name = `${fileTime(atMs)}-${reason}${kind === 'sqlite' ? '.db' : '.jsonl'}`;
  const file = path.join(backupDirectory(ctx), name);
  const partial = `${file}.partial`;
  rmSync(partial, { force: true });
  ctx.onStep('backup: copy');
  const expected =
    kind === 'sqlite' ? await copySqlite(engine, partial) : await engine.snapshot(() => dumpPlan(partial));
  ctx.onStep('backup: check');
  const checked = path.join(path.dirname(file), `.check-${name}.partial${path.extname(file)}`);
  renameSync(partial, checked);
  const found = await checkCopy(ctx, checked, expected);
  const made = { at: toTimestamp(atMs), reason, engine: kind };
  if (dryRun) {
    const backup = await describe(checked, file, made, found);
    rmSync(checked);
    return { backup, facts: found };
  }
  ctx.onStep('backup: name');
  commitFile(checked, file);
  ctx.onStep('backup: describe');
  const backup = await describe(file, file, made, found);
  writeDescription(backup);
  ctx.onStep('backup: retain');
  retain(ctx);
  return { backup, facts: found };
}

/** True for a backup that a verb of ours made first, and that may make room for newer ones. */
export function isAutomatic(reason: string): boolean {
  return automaticReasons.includes(reason);
}

/** All that were finished, newest first. */
export function listBackups(ctx: Pick<MaintenanceContext, 'directory'>): readonly StoreBackup[] {
  const directory = path.join(ctx.directory, 'backups');
  if (!existsSync(directory)) return [];
  const names = readdirSync(directory).filter((name) => name.endsWith('.json'));
  const found = names.flatMap((name) => readDescription(path.join(directory, name)) ?? []);
  return found.toSorted((left, right) => (left.file < right.file ? 1 : -1));
}

/**
 * Finds a backup by path or by name, and checks that it is the file that was made.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT`, `OCT_STATE_CORRUPT`
 */
export async function findBackup(ctx: MaintenanceContext, reference: string): Promise<StoreBackup> {
  const file = path.isAbsolute(reference) ? reference : path.join(ctx.directory, 'backups', reference);
  const description = existsSync(file) ? readDescription(`${file}.json`) : undefined;
  if (description === undefined) {
    throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `There is no finished backup ${file}`, {
      remedy: 'Choose one that `opencode-tools db backups` lists; its .json file belongs to it.',
      details: { argument: 'file', file },
    });
  }
  if ((await digestFile(file)) === description.digest) return { ...description, file };
  throw new OpencodeToolsError('OCT_STATE_CORRUPT', `The backup ${file} is not as it was made`, {
    remedy: 'Choose another one with `opencode-tools db backups`.',
    details: { file },
  });
}

/** Copies what a reader sees. Who writes meanwhile is not stopped, so the counts of before and after are the limits. */
async function copySqlite(engine: Engine, target: string): Promise<RegistryFacts | null> {
  const version = () => engine.read(() => firstRow(raw<{ data_version: number }>('pragma data_version')));
  const before = await version();
  const facts = await engine.snapshot(readFacts);
  vacuumInto(engine.location, target);
  const unchanged = before?.data_version === (await version())?.data_version;
  return unchanged ? facts : null;
}

/** @param expected null when the registry was written meanwhile: then only what the copy says of itself is checked */
async function checkCopy(
  ctx: MaintenanceContext,
  file: string,
  expected: RegistryFacts | null,
): Promise<RegistryFacts> {
  await using made: Scratch = await restoredScratch(ctx, file);
  const found = await made.engine.snapshot(readFacts);
  const { broken, problems } = await verifyRegistry(storeContext(ctx, made.engine));
  const faults = [
    ...(expected === null ? [] : differences(expected, found)),
    ...problems,
    ...broken.map(({ stream, seq, fault }) => `${stream} record ${seq}: ${fault}`),
  ];
  if (faults.length === 0) return found;
  // A fault that the registry has itself is no fault of the copy: it must not stand in the way of saving what there is.
  if (expected !== null && differences(expected, found).length === 0) {
    ctx.logger.warn('The backup has the faults of the registry', { faults });
    return found;
  }
  throw new OpencodeToolsError('OCT_STATE_CORRUPT', `The copy of the registry is not whole: ${faults[0] ?? ''}`, {
    remedy: 'Try again; run `opencode-tools db verify` when it happens again.',
    details: { faults },
  });
}

async function describe(
  copy: string,
  file: string,
  made: Pick<StoreBackup, 'at' | 'reason' | 'engine'>,
  facts: RegistryFacts,
): Promise<StoreBackup> {
  const { schemaVersion, epoch, tasks, records } = facts;
  const size = { sizeBytes: statSync(copy).size, digest: await digestFile(copy) };
  return { file, ...made, schemaVersion, epoch, tasks, records, ...size };
}

function writeDescription(backup: StoreBackup): void {
  const { file } = backup;
  const description = { v: 1, ...backup, file: path.basename(file) };
  const temporary = `${file}.json.partial`;
  writeFileSync(temporary, `${JSON.stringify(description, null, 2)}\n`, { mode: 0o600 });
  commitFile(temporary, `${file}.json`);
}

function readDescription(file: string): StoreBackup | undefined {
  try {
    const { v, ...description } = JSON.parse(readFileSync(file, 'utf8')) as StoreBackup & { readonly v: number };
    const copy = path.join(path.dirname(file), path.basename(description.file));
    return v === 1 && existsSync(copy) ? { ...description, file: copy } : undefined;
  } catch {
    return undefined;
  }
}

/** Automatic backups past the number that is kept go, the oldest first; those that a person made stay. */
function retain(ctx: MaintenanceContext): void {
  const automatic = listBackups(ctx).filter(({ reason }) => isAutomatic(reason));
  for (const { file } of automatic.slice(ctx.keepBackups)) {
    rmSync(`${file}.json`, { force: true });
    rmSync(file, { force: true });
  }
}
