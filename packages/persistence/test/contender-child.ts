import { appendFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lease, type TaskId, asOpencodeToolsError } from '@opencode-tools/core';
import { sampleActor, sampleIds, sampleNote, sampleSession } from '@opencode-tools/testkit';
import { openPostgresStore, openSqliteStore } from '../src/index.ts';
import type { Told, Work } from './contenders.ts';

/**
 * Contenders of one process: `contender-child.ts <home directory> <address of a PostgreSQL database, or ->`. Each line of
 * its input is work, or `stop`; each line of its output is what a contender saw, or `idle` when all have ended.
 */
const [directory = '', url = '-'] = process.argv.slice(2);
const waitMs = 10_000;
const store =
  url === '-'
    ? await openSqliteStore({ directory, waitMs })
    : await openPostgresStore({ homeDirectory: directory, url, urlFrom: 'TEST_DATABASE', waitMs, pool: { max: 2 } });

/** What may be met where others are killed and stopped: a lease that expired meanwhile, a store held by one who is stopped. */
const expected = new Set(['OCT_LEASE_LOST', 'OCT_LEASE_HELD', 'OCT_STORE_UNAVAILABLE']);

// Who is killed later has no other moment for it.
flushCompileCache();
let stopping = new AbortController();
let working: Promise<unknown> = Promise.resolve();
say({ what: 'idle' });
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'stop') {
    stopping.abort();
    await working;
    say({ what: 'idle' });
    continue;
  }
  stopping = new AbortController();
  const { tasks, contenders } = JSON.parse(line) as Work;
  working = Promise.all(Array.from({ length: contenders }, () => contend(tasks, stopping.signal)));
}
await store.close();

async function contend(tasks: readonly TaskId[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const taskId = tasks[Math.floor(Math.random() * tasks.length)] as TaskId;
    try {
      await workUnderLease(taskId, signal);
    } catch (error) {
      if (signal.aborted && error === signal.reason) return;
      const { code } = asOpencodeToolsError(error);
      say({ what: 'refused', taskId, code });
      if (!expected.has(code)) throw error;
    }
  }
}

async function workUnderLease(taskId: TaskId, signal: AbortSignal): Promise<void> {
  const session = sampleSession(taskId, { agent: String(process.pid) });
  const request = { session, mode: 'exclusive', maxAgents: 1, ttlMs: 1_000, takeover: false } as const;
  const { lease } = await store.leases.acquireInTurn(
    { ...request, actor: sampleActor, correlationId: null },
    { waitMs: 60_000, signal },
  );
  say({ what: 'granted', taskId, token: lease.token });
  for (let left = Math.ceil(Math.random() * 3); left > 0; left -= 1) {
    await sleep(Math.random() * 8);
    await writeUnder(lease);
  }
  const { id: leaseId, token } = lease;
  const end = { reason: 'done', actor: sampleActor, correlationId: null };
  await store.leases.release({ taskId, sessionId: session.id, leaseId, token }, end);
}

async function writeUnder({ id: leaseId, taskId, token }: Lease): Promise<void> {
  const note = sampleNote(taskId, { id: sampleIds.next('note'), text: `under ${token}` });
  const puts = [{ noun: 'note', value: note }] as const;
  try {
    await store.tasks.commit({
      guard: { lease: { leaseId, token } },
      records: [{ stream: taskId, type: 'note.added', actor: sampleActor, token, puts }],
    });
    say({ what: 'wrote', taskId, noteId: note.id });
  } catch (error) {
    if (asOpencodeToolsError(error).code === 'OCT_LEASE_LOST') say({ what: 'lost', taskId, noteId: note.id });
    throw error;
  }
}

/** In one write, so that a kill cuts no line. */
function say(told: Told): void {
  appendFileSync(1, `${JSON.stringify(told)}\n`);
}
