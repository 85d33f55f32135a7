import { join } from 'node:path';
import type { AcquiredLease, Task } from '@opencode-tools/core';
import { addTask, sampleActor, sampleSession, until } from '@opencode-tools/testkit';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Store, openSqliteStore } from '../src/sqlite.ts';
import { LineLog } from './line-log.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';
import { type Child, startChild } from './start-child.ts';

let temporary: ReturnType<typeof temporaryDirectory>;
let directory: string;
let store: Store;
let task: Task;
let children: Child[];
beforeEach(async () => {
  temporary = temporaryDirectory();
  directory = join(temporary.path, 'home');
  store = await openSqliteStore({ directory });
  task = await addTask(store.tasks);
  children = [];
});
afterEach(async () => {
  for (const { process: child } of children) child.kill('SIGKILL');
  await Promise.all(children.map(({ ended }) => ended));
  await store.close();
  temporary.remove();
});

const acquire = (waitMs: number) =>
  store.leases.acquireInTurn(
    {
      session: sampleSession(task.id),
      mode: 'exclusive',
      maxAgents: 1,
      ttlMs: 60_000,
      takeover: false,
      actor: sampleActor,
      correlationId: null,
    },
    { waitMs },
  );
const release = async ({ lease }: AcquiredLease) =>
  store.leases.release(
    { taskId: task.id, sessionId: lease.sessionId, leaseId: lease.id, token: lease.token },
    { reason: 'done', actor: sampleActor, correlationId: null },
  );

/** Starts a process that waits for the task, and waits until it stands in line. */
async function startWaiter(): Promise<Child> {
  const database = new Database(join(directory, 'registry.db'), { readonly: true });
  const inLine = () => (database.prepare('select count(*) as n from lease_waiters').get() as { n: number }).n;
  const before = inLine();
  const child = startChild('in-turn', [directory, '5']);
  children.push(child);
  await until(() => inLine() > before, 30_000);
  database.close();
  return child;
}

describe('processes that wait for one task', () => {
  test('are served in the order they came, over and over, with tokens that rise', async () => {
    const line = await LineLog.open(directory, { engine: 'sqlite' });
    const holder = await acquire(0);
    for (let count = 0; count < 4; count += 1) await startWaiter();
    await release(holder);
    await Promise.all(children.map(({ said }) => said(8)));
    for (const { process: child } of children) child.kill('SIGSTOP');
    const agentOf = new Map((await store.tasks.listSessions(task.id)).map(({ leaseId, agent }) => [leaseId, agent]));
    const granted = await store.ledger.read(task.id, { types: ['lease.acquired'], limit: 1_000 });
    const tokens = granted.map(({ token }) => token ?? 0);
    expect(tokens).toEqual(tokens.map((_, index) => index + 1));
    const agents = granted.slice(1).map(({ payload }) => agentOf.get(leaseIdIn(payload)));
    expect(agents.slice(0, 4)).toEqual(children.map(({ process: child }) => String(child.pid)));
    // When each comes again after it let go is a matter of the machine; that it is served as it came is not.
    expect(await line.faults(task.id, granted)).toEqual([]);
    await line.close();
    for (const { process: child } of children) child.kill('SIGCONT');
  });

  test.each(['SIGKILL', 'SIGSTOP'] as const)('are passed over when %s hits them in line', async (signal) => {
    const holder = await acquire(0);
    const first = await startWaiter();
    const second = await startWaiter();
    first.process.kill(signal);
    await release(holder);
    await second.said(2);
    const mine = await acquire(30_000);
    expect(mine.lease.token).toBeGreaterThan(2);
    await release(mine);
    if (signal === 'SIGSTOP') {
      first.process.kill('SIGCONT');
      await first.said(2);
      expect(first.lines.length).toBeGreaterThan(1);
    }
    expect(await store.ledger.verify(task.id)).toMatchObject({ broken: null });
  });
});

function leaseIdIn(payload: string | null): never {
  const { puts } = JSON.parse(payload ?? '') as { puts: readonly { value: { id: string } }[] };
  return puts[0]?.value.id as never;
}
