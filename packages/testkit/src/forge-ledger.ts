import { type Put, type StoredRecord, hashRecord, sha256 } from '@opencode-tools/core';
import { expect } from 'vitest';
import type { OpenRegistry } from './open-registry.ts';
import { addRows, addTask, sampleCheckpoint, sampleDecision, sampleTodo } from './registry-samples.ts';

/** The lines of an exported ledger with a record at their end that fits, as anybody can make it who has the export. */
export function forgeRecord(lines: readonly string[], puts: readonly Put[]): string[] {
  const [header = '', ...records] = lines;
  const last = JSON.parse(records.at(-1) ?? '') as StoredRecord;
  const payload = JSON.stringify({ puts, detail: {} });
  const unsealed = { ...last, seq: last.seq + 1, prevHash: last.hash, payload, payloadDigest: sha256(payload) };
  const forged = { ...unsealed, hash: hashRecord(unsealed) };
  const head = { seq: forged.seq, hash: forged.hash };
  return [JSON.stringify({ ...(JSON.parse(header) as object), head }), ...records, JSON.stringify(forged)];
}

/** The same lines with one record changed, so that it does not fit. */
export function changeRecord(lines: readonly string[], index: number, to: (record: StoredRecord) => object): string[] {
  return lines.with(index, JSON.stringify(to(JSON.parse(lines[index] ?? '') as StoredRecord)));
}

/** A task with rows that a forged ledger is after, and what says that all of them are as they were. */
export async function plantVictim({ tasks, checkpoints, admin }: OpenRegistry) {
  const mine = await addTask(tasks, { title: 'mine' });
  const [checkpoint, decision, todo] = [sampleCheckpoint(mine.id), sampleDecision(mine.id), sampleTodo(mine.id)];
  await addRows(
    tasks,
    mine.id,
    { noun: 'checkpoint', value: checkpoint },
    { noun: 'decision', value: decision },
    { noun: 'todo', value: todo },
  );
  const expectUnchanged = async (): Promise<void> => {
    expect(await tasks.getTask(mine.id)).toEqual(mine);
    expect(await tasks.listDecisions(mine.id)).toEqual([decision]);
    expect(await tasks.listTodos(mine.id)).toEqual([todo]);
    expect(await checkpoints.list(mine.id)).toEqual([checkpoint]);
    expect(await admin.verify()).toMatchObject({ ok: true, problems: [] });
  };
  return { mine, checkpoint, decision, todo, expectUnchanged };
}
