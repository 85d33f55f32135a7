import { appendFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import { asOpencodeToolsError, createIds, systemClock } from '@opencode-tools/core';
import type { Actor, Task } from '@opencode-tools/core';
import Database from 'better-sqlite3';
import { openSqliteStore } from '../src/sqlite.ts';

/** Runs one of the stories below in a process of its own: `child.ts <story> <home directory> [number]`. */
const [story = '', directory = '', number = '0'] = process.argv.slice(2);
const ids = createIds(systemClock);
const actor: Actor = { kind: 'agent', id: 'child', agent: 'child', model: null, session: null, onBehalfOf: null };
const say = (line: string) => appendFileSync(1, `${line}\n`);

const stories: Readonly<Record<string, () => Promise<void>>> = {
  open: async () => {
    const store = await openSqliteStore({ directory });
    say(store.homeId);
    await store.close();
  },

  write: async () => {
    const store = await openSqliteStore({ directory });
    const { items } = await store.tasks.listTasks({}, { limit: 500 });
    for (let index = 0; index < Number(number); index += 1) {
      const task = items[(index * 7 + process.pid) % items.length] as Task;
      const at = new Date().toISOString();
      const session = {
        id: ids.next('session'),
        taskId: task.id,
        leaseId: ids.next('lease'),
        agent: 'child',
        model: null,
      };
      const { lease } = await store.leases.acquire({
        session: { ...session, state: 'attached', ephemeral: true, attachedAt: at, endedAt: null, endReason: null },
        mode: 'exclusive',
        maxAgents: 1,
        ttlMs: 60_000,
        takeover: true,
        actor,
        correlationId: null,
      });
      const note = { id: ids.next('note'), taskId: task.id, text: `note ${lease.token}`, version: 1, agent: 'child' };
      await store.tasks
        .commit({
          guard: { lease: { leaseId: lease.id, token: lease.token } },
          records: [
            {
              stream: task.id,
              type: 'note.added',
              actor,
              token: lease.token,
              puts: [{ noun: 'note', value: { ...note, createdAt: at, updatedAt: at } }],
            },
          ],
        })
        .catch((error: unknown) => {
          if (asOpencodeToolsError(error).code !== 'OCT_LEASE_LOST') throw error;
        });
      say(`${task.id} ${lease.token}`);
    }
    await store.close();
  },

  /** Waits for the only task of a home, holds it for the given time, and again. */
  'in-turn': async () => {
    const store = await openSqliteStore({ directory });
    const [task] = (await store.tasks.listTasks({})).items as [Task];
    say('ready');
    for (;;) {
      const session = {
        id: ids.next('session'),
        taskId: task.id,
        leaseId: ids.next('lease'),
        agent: String(process.pid),
        model: null,
        state: 'attached',
        ephemeral: true,
        attachedAt: new Date().toISOString(),
        endedAt: null,
        endReason: null,
      } as const;
      const { lease } = await store.leases.acquireInTurn(
        { session, mode: 'exclusive', maxAgents: 1, ttlMs: 60_000, takeover: false, actor, correlationId: null },
        { waitMs: 60_000 },
      );
      const proof = { taskId: task.id, sessionId: session.id, leaseId: lease.id, token: lease.token };
      say(`${lease.token}`);
      await new Promise((resolve) => setTimeout(resolve, Number(number)));
      await store.leases.release(proof, { reason: 'done', actor, correlationId: null });
    }
  },

  hold: async () => {
    const database = new Database(join(directory, 'registry.db'));
    database.exec('begin immediate');
    say('holding');
    await new Promise((resolve) => process.stdin.once('data', resolve).resume());
    database.exec('rollback');
    process.exit(0);
  },

  'read-only': async () => {
    const store = await openSqliteStore({ directory });
    const { items } = await store.tasks.listTasks({});
    const refused = await store.tasks
      .commit({ records: [{ stream: 'home', type: 'home.tried', actor, puts: [] }] })
      .then(() => null, asOpencodeToolsError);
    say(JSON.stringify({ titles: items.map(({ title }) => title), code: refused?.code, remedy: refused?.remedy }));
    await store.close();
  },
};

// Who is killed later has no other moment for it.
flushCompileCache();

const becomes = process.env['OCT_TEST_BECOMES'];
if (becomes !== undefined) {
  // Loads the driver's native part while it can still be read.
  new Database(':memory:').close();
  process.chdir('/');
  process.setgroups?.([]);
  process.setgid?.(Number(becomes));
  process.setuid?.(Number(becomes));
}

try {
  await stories[story]?.();
} catch (error) {
  say(JSON.stringify(asOpencodeToolsError(error)));
  process.exitCode = 1;
}
