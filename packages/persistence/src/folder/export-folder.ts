import { createHash, randomBytes } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import path from 'node:path';
import {
  type ChainHead,
  type Execution,
  type ExportedMemory,
  type HomeId,
  OpencodeToolsError,
  type TaskId,
  isWithin,
  sha256,
} from '@opencode-tools/core';
import { exportChain } from '../admin/ledger-transfer.ts';
import { errnoOf } from '../home/home-file.ts';
import { type TaskFacts, readFacts } from '../memory/projection-plans.ts';
import type { Engine } from '../query/engine.ts';
import { type Plan, adHoc, allRows } from '../query/plan.ts';
import { fromRow } from '../rows/entity-rows.ts';
import {
  type FolderManifest,
  composeFiles,
  folderFiles,
  folderName,
  ledgerName,
  manifestName,
  oldName,
  renderManifest,
} from './folder-files.ts';
import { HeldDirectory } from './held-directory.ts';
import { readSound } from './read-folder.ts';

const everyFile = [...folderFiles, manifestName];
const newName = /^\.tsk_[0-9a-z]{26}\.(\d+)-[0-9a-f]{12}\.new$/;
const bufferLength = 1_048_576;
const mostTurns = 5;

/** Writes the memory of a task into `.task-memory/<taskId>` of a folder: whole or not at all, and nothing when it is there. */
export async function exportFolder(
  engine: Engine,
  taskId: TaskId,
  directory: string,
  homeDirectory: string,
): Promise<ExportedMemory> {
  const facts = await engine.snapshot(() => everything(taskId));
  if (facts === undefined)
    throw new OpencodeToolsError('OCT_TASK_NOT_FOUND', `There is no task ${taskId}`, { details: { taskId } });
  try {
    return await write(engine, { ...facts, taskId }, directory, homeDirectory);
  } catch (error) {
    throw error instanceof OpencodeToolsError || errnoOf(error) === '' ? error : notWritten(directory, error);
  }
}

async function write(
  engine: Engine,
  facts: Facts & { readonly taskId: TaskId },
  directory: string,
  homeDirectory: string,
): Promise<ExportedMemory> {
  const { taskId, extent } = facts;
  await using base = await openBase(directory, homeDirectory);
  await using folder = (await base.find(folderName)) ?? (await base.make(folderName));
  await tidy(folder, taskId);
  const fresh = `.${taskId}.${process.pid}-${randomBytes(6).toString('hex')}.new`;
  const head = { seq: extent.headSeq, hash: extent.headHash };
  try {
    const manifest = await writeAll(folder, fresh, { ...facts, head }, engine);
    const changed = !(await isThere(folder, taskId, manifest));
    if (changed) await swap(folder, taskId, fresh);
    return { taskId, path: path.join(folder.path, taskId), changed, head };
  } finally {
    // What cannot be removed hides nothing, and goes with the next export; an empty folder may be another's by now, and stays.
    await folder.remove(fresh, everyFile).catch(() => undefined);
  }
}

function notWritten(directory: string, cause: unknown): OpencodeToolsError {
  if (['ENOSPC', 'EDQUOT'].includes(errnoOf(cause))) {
    return new OpencodeToolsError(
      'OCT_RESOURCE_LIMIT',
      `There is no room left in ${directory}; what was there before is unchanged`,
      {
        remedy: 'Make room on the disk, then try again.',
        details: { limit: 'disk', path: directory },
        cause,
      },
    );
  }
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `${directory} cannot be written to`, {
    remedy: 'Check that you may write there and that the disk has room. What was there before is unchanged.',
    details: { argument: 'directory', path: directory },
    cause,
  });
}

type Facts = TaskFacts & { readonly all: readonly Execution[] };

/** What the files say, as of one moment. */
function* everything(taskId: TaskId): Plan<Facts | undefined> {
  const facts = yield* readFacts(taskId);
  if (facts === undefined) return undefined;
  const found = yield* allRows(
    adHoc(({ db }) =>
      db.selectFrom('executions').select('entity').where('task_id', '=', taskId).orderBy('started_at').orderBy('id'),
    ),
  );
  return { ...facts, all: found.map((row) => fromRow<Execution>(row)) };
}

/** Opens the folder that `.task-memory` is or comes in. */
async function openBase(directory: string, homeDirectory: string): Promise<HeldDirectory> {
  const base = await HeldDirectory.open(directory);
  if (isWithin(base.path, await realpath(homeDirectory))) {
    await base.close();
    throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `${base.path} is in the home of opencode-tools`, {
      remedy: 'Name the folder of a repository.',
      details: { argument: 'directory', path: base.path },
    });
  }
  return base;
}

/** Puts right what exports that were cut off left behind. */
async function tidy(folder: HeldDirectory, taskId: TaskId): Promise<void> {
  for (const name of await folder.names()) {
    const pid = newName.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await folder.remove(name, everyFile);
  }
  if (await folder.move(oldName(taskId), taskId)) return;
  await using old = await folder.find(oldName(taskId));
  if (old === undefined) return;
  await assertOurs(old);
  await folder.remove(oldName(taskId), everyFile);
}

async function writeAll(
  folder: HeldDirectory,
  fresh: string,
  facts: Facts & { readonly taskId: TaskId; readonly head: ChainHead },
  engine: Engine,
): Promise<string> {
  await using directory = await folder.make(fresh);
  const { taskId, head, extent } = facts;
  const files: Record<string, string> = {
    [ledgerName]: await writeLines(directory, ledgerName, exportChain(engine, taskId, head)),
  };
  for (const [name, text] of Object.entries(composeFiles(facts))) {
    files[name] = sha256(text);
    await writeLines(directory, name, [text], '');
  }
  const manifest = renderManifest({
    taskId,
    homeId: extent.homeId as HomeId,
    ledger: head,
    files: files as FolderManifest['files'],
  });
  await writeLines(directory, manifestName, [manifest], '');
  await directory.flush();
  return manifest;
}

/** @returns the digest of what was written */
async function writeLines(
  directory: HeldDirectory,
  name: string,
  lines: AsyncIterable<string> | Iterable<string>,
  end = '\n',
): Promise<string> {
  const hash = createHash('sha256');
  const file = await directory.create(name);
  try {
    let [pending, length]: [string[], number] = [[], 0];
    const write = async (): Promise<void> => {
      const bytes = Buffer.from(pending.join(''), 'utf8');
      [pending, length] = [[], 0];
      hash.update(bytes);
      await file.appendFile(bytes);
    };
    for await (const line of lines) {
      pending.push(line + end);
      length += line.length;
      if (length > bufferLength) await write();
    }
    await write();
    await file.datasync();
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}

/** Whether the folder says the very same already. */
async function isThere(folder: HeldDirectory, taskId: TaskId, manifest: string): Promise<boolean> {
  await using before = await folder.find(taskId);
  if (before === undefined) return false;
  await assertOurs(before);
  try {
    return (await readSound(before, taskId)).text === manifest;
  } catch (error) {
    if (error instanceof OpencodeToolsError) return false;
    throw error;
  }
}

/** A folder that is replaced, or was to be, has nothing of others. */
async function assertOurs(directory: HeldDirectory): Promise<void> {
  const alien = await directory.alien(everyFile);
  if (alien === undefined) return;
  throw new OpencodeToolsError(
    'OCT_INVALID_ARGUMENT',
    `${directory.path} has ${JSON.stringify(alien)}, which no export wrote`,
    {
      remedy: 'Move it elsewhere: the folder is replaced as a whole.',
      details: { path: directory.path, name: alien },
    },
  );
}

async function swap(folder: HeldDirectory, taskId: TaskId, fresh: string): Promise<void> {
  for (let turn = 1; turn <= mostTurns; turn += 1) {
    if (await folder.move(fresh, taskId)) {
      await folder.remove(oldName(taskId), everyFile);
      return folder.flush();
    }
    await folder.remove(oldName(taskId), everyFile);
    await folder.move(taskId, oldName(taskId));
  }
  await folder.move(oldName(taskId), taskId);
  throw new OpencodeToolsError('OCT_VERSION_CONFLICT', `${folder.path} is being changed by others`, {
    remedy: 'Export again when nobody else does.',
    details: { path: folder.path },
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== 'ESRCH';
  }
}
