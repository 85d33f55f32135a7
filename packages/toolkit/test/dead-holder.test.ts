import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Task } from '@opencode-tools/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EnginelessHome, callBy, createEnginelessHome } from './support/home-without-engine.ts';

const child = fileURLToPath(new URL('support/lease-child.ts', import.meta.url));
const ada = callBy('ada');
let home: EnginelessHome;

beforeEach(async () => {
  home = await createEnginelessHome();
});
afterEach(() => home.remove());

/** Another process takes a lease for one verb, and is killed before it has begun with that. Returns its process id. */
async function killedWhileHolding({ id }: Task): Promise<number> {
  const argv = ['--conditions=@opencode-tools/source', child, home.open.directory, id];
  const running = spawn(process.execPath, argv, { stdio: ['ignore', 'inherit', 'inherit'] });
  expect(await once(running, 'exit')).toEqual([null, 'SIGKILL']);
  expect(await home.ports.leases.listActive(id)).toHaveLength(1);
  return running.pid ?? 0;
}

test('a lease that a verb of a killed process took for itself ends when the next one asks, and the ledger says why', async () => {
  const { journal, sessions, ledger } = home.open.services;
  const task = await home.create({ leaseMode: 'exclusive' });
  const pid = await killedWhileHolding(task);
  const [dead] = await home.ports.leases.listActive(task.id);
  await journal.addNote(task.id, { text: 'at once' }, ada);
  expect((await sessions.list(task.id)).map(({ agent, state, endReason }) => ({ agent, state, endReason }))).toEqual(
    expect.arrayContaining([
      { agent: 'crash', state: 'lost', endReason: `its process ${pid} is dead` },
      { agent: 'ada', state: 'detached', endReason: 'done' },
    ]),
  );
  const records = await ledger.history(task.id);
  expect(records.map(({ type }) => type)).toContain('lease.revoked');
  expect(records.find(({ type }) => type === 'note.added')?.token).toBeGreaterThan(dead?.token ?? Infinity);
});

test('an agent attaches past a killed process, waiting or not', async () => {
  const { sessions } = home.open.services;
  const task = await home.create({ leaseMode: 'exclusive' });
  for (const waitMs of [0, 20_000]) {
    await killedWhileHolding(task);
    const { session } = await sessions.attach(task.id, { agent: 'ada', waitMs }, ada);
    expect((await home.ports.leases.listActive(task.id)).map(({ sessionId }) => sessionId)).toEqual([session.id]);
    await sessions.detach(session.id, {}, ada);
  }
});

test('a killed process is nobody who is attached: the verbs that need a task alone have it', async () => {
  const { tasks } = home.open.services;
  const task = await home.create({ leaseMode: 'collaborative' });
  await killedWhileHolding(task);
  expect(await tasks.delete(task.id, {}, ada)).toMatchObject({ receipt: { taskId: task.id } });
});

test('an attempt that a killed process held goes with the others when one is kept', async () => {
  const { attempts } = home.open.services;
  const project = mkdtempSync(join(realpathSync(tmpdir()), 'oct-held-'));
  try {
    if (process.getuid?.() === 0) chownSync(project, 4_321, 5_432);
    const task = await home.create({ workspace: { kind: 'bind', path: project } });
    const [first, second] = await attempts.start(task.id, { count: 2 }, ada);
    if (first === undefined || second === undefined) throw new Error('No attempts were made');
    await killedWhileHolding(second);
    expect(await attempts.keep(task.id, first.id, {}, ada)).toMatchObject({ archived: [{ task: { id: second.id } }] });
  } finally {
    rmSync(project, { recursive: true });
  }
});

test('a living process that holds a task for one verb is waited for', async () => {
  const { journal } = home.open.services;
  const task = await home.create({ leaseMode: 'exclusive' });
  await killedWhileHolding(task);
  const [held] = await home.ports.leases.listActive(task.id);
  const session = await home.open.services.sessions.get(held?.sessionId ?? 'ses_');
  const alive = { ...session, process: { ...session.process, pid: process.pid, startedAt: '' } } as typeof session;
  const record = { stream: task.id, type: 'session.changed', actor: ada.actor } as const;
  await home.ports.tasks.commit({ records: [{ ...record, puts: [{ noun: 'session', value: alive }] }] });
  await expect(journal.addNote(task.id, { text: 'x' }, ada)).rejects.toMatchObject({ code: 'OCT_LEASE_HELD' });
});
