import { join } from 'node:path';
import type { TaskId } from '@opencode-tools/core';
import { addRows, sampleNote } from '@opencode-tools/testkit';
import { openSqliteFile } from '../src/admin/sqlite-file.ts';
import { exportFolder } from '../src/folder/export-folder.ts';
import { openSqliteStore } from '../src/sqlite.ts';

/** Writes notes and exports the task after each, until it is killed; waits for no projection of one that was killed before. */
const [directory = '', taskId = '', repository = ''] = process.argv.slice(2);
const store = await openSqliteStore({ directory });
const engine = openSqliteFile(join(directory, 'registry.db'));
for (let number = 1; ; number += 1) {
  const value = sampleNote(taskId as TaskId, { text: String(number).repeat(2_000) });
  await addRows(store.tasks, taskId as TaskId, { noun: 'note', value });
  await exportFolder(engine, taskId as TaskId, repository, directory);
  process.stdout.write(`${number}\n`);
}
