import { existsSync, readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { type HomeId, type StreamId, isId, isOpencodeToolsError } from '@opencode-tools/core';
import type { Engine } from '../query/engine.ts';
import { logFiles } from '../memory/log-files.ts';
import { TaskPaths } from '../memory/task-paths.ts';
import { readSoundLog } from './log-records.ts';
import { takeInRecords } from './take-in-chains.ts';
import type { TakeIn } from './go-on-with.ts';

/** Every stream of a home that has a log, with the directory it is in. */
export function streamsWithLogs(directory: string): ReadonlyMap<StreamId, string> {
  const found = new Map<StreamId, string>();
  if (logFiles(directory).length > 0) found.set('home', directory);
  const tasks = path.join(directory, 'tasks');
  for (const name of existsSync(tasks) ? readdirSync(tasks).toSorted() : []) {
    if (isId('task', name)) found.set(name, new TaskPaths(directory, name).directory);
  }
  return found;
}

/**
 * Takes in what the files of a home have beyond the chains of a registry that is being put in place. Whatever does not go
 * on from its chain is left.
 *
 * @returns how many records were taken in
 */
export async function rollForward(engine: Engine, directory: string, homeId: HomeId): Promise<number> {
  let added = 0;
  for (const [stream, place] of streamsWithLogs(directory)) {
    const log = readSoundLog(stream, place);
    if (log === undefined) continue;
    const given = (): TakeIn => ({ stream, homeId, base: log.base, records: log.records(), erased: log.erased });
    try {
      added += (await engine.write(() => takeInRecords(engine.traits, given()))).added;
    } catch (error) {
      if (!isOpencodeToolsError(error, 'OCT_LEDGER_BROKEN')) throw error;
    }
  }
  return added;
}

/** Puts the log of a stream aside, all its files, under names that say when; gives their new names. */
export function keepLogAside(directory: string, time: string): readonly string[] {
  return logFiles(directory).map((file) => {
    const kept = `${file}.bad-${time}`;
    renameSync(file, kept);
    return kept;
  });
}
