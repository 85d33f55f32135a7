import { createRequire } from 'node:module';
import { genesisHash, linkRecord, prepareDraft } from '@opencode-tools/core';
import { sampleDraft, sampleTask } from '@opencode-tools/testkit';

/** Words of the vocabulary; each is in about one task of a hundred. */
export const words = Array.from({ length: 400 }, (_, index) => `word${index.toString(36)}x`);

const base = { seq: 0, hash: genesisHash };
const statuses = ['pending', 'running', 'suspended', 'completed'];

/**
 * Takes tasks in as a home does that is given the exported ledgers of another: every chain is checked, then come its rows,
 * search documents and counters. Files are left for later. @returns ms
 */
export async function fillTasks(store, count) {
  store.memory.touch = () => undefined;
  const from = performance.now();
  const { chains } = await store.admin.importLedgers(exportedTasks(store.homeId, count));
  if (chains !== count) throw new Error(`${chains} tasks were taken in instead of ${count}`);
  return performance.now() - from;
}

/** The lines of so many exports, a created task each. */
function* exportedTasks(homeId, count) {
  for (let index = 0; index < count; index += 1) {
    const draft = draftOf(homeId, index);
    const prepared = prepareDraft(draft);
    const record = linkRecord(prepared, base, { at: draft.puts[0].value.createdAt, homeId });
    const head = { seq: record.seq, hash: record.hash };
    yield JSON.stringify({ format: 'opencode-tools-ledger', v: 1, stream: draft.stream, homeId, base, head });
    yield JSON.stringify({ ...record, payload: prepared.payload });
  }
}

/** Lets the files of a registry count as written: those of a home that is used are, and none are timed. */
export function markProjected(file) {
  const Database = createRequire(new URL('../../packages/persistence/package.json', import.meta.url))('better-sqlite3');
  const db = new Database(file);
  db.exec('update streams set projected_seq = head_seq');
  db.close();
}

function draftOf(homeId, index) {
  const picked = [0, 1, 2, 3].map((step) => words[(index * 7 + step * 101) % words.length]);
  const at = new Date(1_790_000_000_000 + index * 1_000).toISOString();
  const task = sampleTask(homeId, {
    title: `Task ${index}`,
    description: picked.join(' '),
    status: statuses[index % statuses.length],
    createdAt: at,
    updatedAt: at,
  });
  return sampleDraft(task.id, 'task.created', { noun: 'task', value: task });
}
