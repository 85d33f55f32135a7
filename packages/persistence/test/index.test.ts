import { join } from 'node:path';
import { addTask } from '@opencode-tools/testkit';
import { expect, test } from 'vitest';
import { latestSchemaVersion, openSqliteStore } from '../src/index.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';

test('a home opened through the package keeps a task, its record and its files', async () => {
  const temporary = temporaryDirectory();
  const store = await openSqliteStore({ directory: join(temporary.path, 'home') });
  const task = await addTask(store.tasks, { title: 'Try it' });
  await store.close();

  const again = await openSqliteStore({ directory: join(temporary.path, 'home') });
  expect(await again.tasks.getTask(task.id)).toEqual(task);
  expect(await again.ledger.verify(task.id)).toMatchObject({ records: 1, broken: null });
  expect(await again.memory.readState(task.id)).toMatchObject({ task });
  expect(await again.admin.status()).toMatchObject({ engine: 'sqlite', tasks: 1, schemaVersion: latestSchemaVersion });
  await again.close();
  temporary.remove();
});
