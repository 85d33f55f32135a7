import { createRequire } from 'node:module';
import { sampleDraft, sampleTask } from '@opencode-tools/testkit';

/** Words of the vocabulary; each is in about one task of a hundred. */
export const words = Array.from({ length: 400 }, (_, index) => `word${index.toString(36)}x`);

const perCommit = 500;
const statuses = ['pending', 'running', 'suspended', 'completed'];

/** Imports tasks with their ledger records, search documents and counters. Files are left for later. @returns ms */
export async function fillTasks(store, count) {
  store.memory.touch = () => undefined;
  const from = performance.now();
  for (let done = 0; done < count; done += perCommit) {
    const records = Array.from({ length: Math.min(perCommit, count - done) }, (_, index) =>
      draftOf(store, done + index),
    );
    await store.tasks.commit({ records });
  }
  return performance.now() - from;
}

/** Lets the files of a registry count as written: those of a home that is used are, and none are timed. */
export function markProjected(file) {
  const Database = createRequire(new URL('../../packages/persistence/package.json', import.meta.url))('better-sqlite3');
  const db = new Database(file);
  db.exec('update streams set projected_seq = head_seq');
  db.close();
}

function draftOf(store, index) {
  const picked = [0, 1, 2, 3].map((step) => words[(index * 7 + step * 101) % words.length]);
  const at = new Date(1_790_000_000_000 + index * 1_000).toISOString();
  const task = sampleTask(store.homeId, {
    title: `Task ${index}`,
    description: picked.join(' '),
    status: statuses[index % statuses.length],
    createdAt: at,
    updatedAt: at,
  });
  return sampleDraft(task.id, 'task.created', { noun: 'task', value: task });
}
