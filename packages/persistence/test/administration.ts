import { randomBytes } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { StoreMaintenance, Task } from '@opencode-tools/core';
import {
  addRows,
  addTask,
  sampleActor,
  sampleDecision,
  sampleDraft,
  sampleExecution,
  sampleMessage,
  sampleNote,
  sampleSession,
  sampleTodo,
} from '@opencode-tools/testkit';
import { Client } from 'pg';
import { type RegistryPlace, type Store, openMaintenance, openPostgresStore, openSqliteStore } from '../src/index.ts';

export const urlFrom = 'TEST_DATABASE';

/** A schema of its own on a server. */
export async function freshSchema(serverUrl: string): Promise<string> {
  const schema = `oct_${randomBytes(6).toString('hex')}`;
  const client = new Client({ connectionString: serverUrl });
  await client.connect();
  await client.query(`create schema ${schema}`);
  await client.end();
  return `${serverUrl}?options=${encodeURIComponent(`-c search_path=${schema}`)}`;
}

export async function openAt(directory: string, place: RegistryPlace): Promise<Store> {
  if (place.engine === 'sqlite') return openSqliteStore({ directory });
  return openPostgresStore({ homeDirectory: directory, url: place.url, urlFrom: place.urlFrom });
}

export function maintenanceOf(
  directory: string,
  place: RegistryPlace,
  onStep?: (step: string) => void,
): Promise<StoreMaintenance> {
  return openMaintenance({ directory, place, ...(onStep === undefined ? {} : { onStep }) });
}

/** Fills a registry with a little of everything: two tasks with rows of each kind, a lease that is held, a deleted task. */
export async function fillStore(store: Store): Promise<readonly Task[]> {
  const first = await addTask(store.tasks, { title: 'First', labels: { team: 'blue' } });
  const second = await addTask(store.tasks, { title: 'Second', parentId: first.id });
  const gone = await addTask(store.tasks, { title: 'Gone' });
  for (const task of [first, second]) {
    await addRows(store.tasks, task.id, { noun: 'todo', value: sampleTodo(task.id) });
    await addRows(store.tasks, task.id, { noun: 'note', value: sampleNote(task.id, { text: 'Größe ünïcode ☃' }) });
    await addRows(store.tasks, task.id, { noun: 'decision', value: sampleDecision(task.id) });
    await addRows(store.tasks, task.id, { noun: 'execution', value: sampleExecution(task.id) });
    await addRows(store.tasks, task.id, { noun: 'message', value: sampleMessage(task.id) });
  }
  await acquire(store, first);
  const receipt = {
    taskId: gone.id,
    title: gone.title,
    deletedAt: '2026-11-20T08:15:30.123Z',
    finalCheckpointId: null,
    memory: `tasks/${gone.id}`,
    removed: { containers: 0, volumes: 0, networks: 0 },
    keptImages: [],
  };
  await store.tasks.commit({ records: [sampleDraft(gone.id, 'task.deleted', { noun: 'receipt', value: receipt })] });
  await store.tasks.commit({
    records: [first, second, gone].map(({ id, title }) => ({
      stream: 'home',
      type: 'task.created',
      actor: sampleActor,
      puts: [],
      detail: { taskId: id, title },
    })),
  });
  await store.memory.project();
  return [first, second, gone];
}

export async function acquire(store: Store, task: Task) {
  const session = sampleSession(task.id);
  const common = { actor: sampleActor, correlationId: null, takeover: true, mode: 'exclusive', maxAgents: 1 } as const;
  const { lease } = await store.leases.acquire({ ...common, session, ttlMs: 600_000 });
  return { session, lease };
}

/** Everything that a registry answers, without what an epoch changes. */
export async function contents(store: Store): Promise<unknown> {
  const tasks = (await store.tasks.listTasks({}, { order: 'oldest' })).items;
  return {
    tasks,
    counts: await store.tasks.countTasks(),
    labelled: (await store.tasks.listTasks({ label: { name: 'team', value: 'blue' } })).items.map(({ id }) => id),
    found: (await store.tasks.listTasks({ text: 'unicode' })).items.map(({ id }) => id).toSorted(),
    rows: await Promise.all(
      tasks.map(async ({ id }) => ({
        todos: await store.tasks.listTodos(id),
        notes: await store.tasks.listNotes(id),
        decisions: await store.tasks.listDecisions(id),
        executions: await store.tasks.listExecutions(id),
      })),
    ),
  };
}

/** The first records of every chain, as far as another registry has them. */
export async function chains(store: Store): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  for (const stream of await store.ledger.listStreams()) {
    found.set(
      stream,
      (await store.ledger.read(stream, { limit: 10_000 })).map(({ hash }) => hash),
    );
  }
  return found;
}

export function homeIn(directory: string): string {
  return join(directory, 'home');
}

/** Files of the registry and its backups that others than their owner can read. */
export function openToOthers(directory: string): readonly string[] {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  const own = names.filter((name) => /^(?:registry|backups\/)/.test(name));
  return own.filter((name) => (statSync(join(directory, name)).mode & 0o077) !== 0);
}
