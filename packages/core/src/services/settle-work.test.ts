import { expect, test } from 'vitest';
import { kernelOver } from '../../test/kernel.ts';
import { taskId } from '../../test/records.ts';
import { call } from '../../test/task.ts';
import type { OperationId } from '../domain/ids.ts';
import { type Operation, type ProcessRef, isSameProcess } from '../domain/operation.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { SettledWork } from '../ports/work-port.ts';
import type { Change } from '../ports/task-store.ts';
import { settleAbandonedWork, settleRecorded, settleWork } from './settle-work.ts';

const [stuck, other] = ['opn_00000000000000000000000001', 'opn_00000000000000000000000002'] as [
  OperationId,
  OperationId,
];
const self: ProcessRef = { hostId: 'host', bootId: 'boot', pid: 7, startedAt: '1' };
const dead: ProcessRef = { ...self, pid: 3 };
const undone: SettledWork = { outcome: 'undone', left: [], saved: null };

/** Two changes of the user's directories, one of a directory that cannot be written at present. */
class Changes {
  readonly rows = new Map<OperationId, Operation>();
  readonly forgotten: OperationId[] = [];
  readonly written: string[] = [];
  readonly warnings: unknown[] = [];
  isStuck = true;
  /** Sandboxes of other tasks in the directories. */
  running: readonly { readonly taskId: string; readonly name: string }[] = [];
  outcome = undone;

  readonly kernel = kernelOver({
    homeId: 'home' as never,
    tasks: {
      commit: async (change) => this.#commit(change),
      findOperation: async (id) => this.rows.get(id),
      findTask: async () => ({ homeId: 'home' }) as never,
      listOpenOperations: async () => [...this.rows.values()].filter(({ state }) => state === 'open'),
    },
    work: {
      known: async () => [stuck, other].filter((id) => !this.forgotten.includes(id)),
      settle: async (id: OperationId) => {
        if (id === stuck && this.isStuck) throw Object.assign(new Error('EROFS: read-only'), { code: 'EROFS' });
        return this.outcome;
      },
      forget: async (id: OperationId) => void this.forgotten.push(id),
    } as never,
    processes: { self: () => self, isAlive: (ref) => !isSameProcess(ref, dead) },
    runtime: { listIn: async () => this.running } as never,
    notifier: { publish: () => undefined },
    logger: { warn: (...said: readonly unknown[]) => void this.warnings.push(said) } as never,
  });

  add(id: OperationId, more: Partial<Operation> = {}): Operation {
    const intent = { directory: '/srv/project' };
    const operation = {
      id,
      kind: 'work',
      taskId,
      state: 'open',
      intent,
      owner: dead,
      proof: null,
      ...more,
    } as Operation;
    this.rows.set(id, operation);
    return operation;
  }

  #commit({ guard, records }: Change): readonly never[] {
    const owned = guard?.ownedOperation;
    const row = owned === undefined ? undefined : this.rows.get(owned.id);
    if (owned === undefined || row === undefined || !isSameProcess(row.owner, owned.owner))
      throw new OpencodeToolsError('OCT_VERSION_CONFLICT', 'another process has it');
    if (guard?.openOperation !== undefined && row.state !== 'open')
      throw new OpencodeToolsError('OCT_VERSION_CONFLICT', 'it has ended');
    for (const { type, puts } of records) {
      this.written.push(type);
      for (const put of puts) if (put.noun === 'operation') this.rows.set(put.value.id, put.value);
    }
    return [];
  }
}

test('a change that cannot be undone now is recorded as broken off, and its notes stay for the next time', async () => {
  const changes = new Changes();
  const settled = await settleWork(changes.kernel, changes.add(stuck), call);
  expect(settled).toMatchObject({ resolution: 'interrupted' });
  expect(settled?.summary).toMatch(/\/srv\/project.*not taken back.*EROFS/);
  expect(changes.forgotten).toEqual([]);
  expect(changes.written).toEqual(['work.adopted', 'work.interrupted']);
});

test('what could not be undone is undone later, by this process or the next, and recorded then', async () => {
  const changes = new Changes();
  await settleWork(changes.kernel, changes.add(stuck), call);
  changes.isStuck = false;
  for (const owner of [self, dead]) {
    const row = changes.rows.get(stuck) as Operation;
    changes.rows.set(stuck, { ...row, owner, outcome: { summary: 'not taken back' } });
    changes.forgotten.splice(0, 2, other);
    changes.written.length = 0;
    await settleRecorded(changes.kernel, call);
    expect(changes.forgotten).toEqual([other, stuck]);
    expect(changes.written.at(-1)).toBe('work.undone');
    expect(changes.rows.get(stuck)?.outcome?.['summary']).toMatch(/is as it was before/);
  }
});

test('a change that cannot be undone now keeps no other from being settled', async () => {
  const changes = new Changes();
  for (const id of [stuck, other]) changes.add(id, { state: 'interrupted' });
  await settleRecorded(changes.kernel, call);
  expect(changes.forgotten).toEqual([other]);
  expect(changes.warnings).toHaveLength(1);
});

test('notes of what the registry does not know any more are settled all the same', async () => {
  const changes = new Changes();
  await settleRecorded(changes.kernel, call);
  expect(changes.forgotten).toEqual([other]);
  expect(changes.written).toEqual([]);
});

test('what this process itself could not undo is tried again while it lives, and nothing that it is still at', async () => {
  const changes = new Changes();
  for (const id of [stuck, other]) changes.add(id, { state: 'failed', owner: self });
  await settleRecorded(changes.kernel, call);
  expect(changes.forgotten).toEqual([]);
  changes.kernel.leftToRecovery.add(other);
  await settleRecorded(changes.kernel, call);
  expect(changes.forgotten).toEqual([other]);
});

test('only what a dead process, or nobody any more, is at is settled without a lease', async () => {
  const changes = new Changes();
  changes.add(stuck, { owner: { ...self, pid: 5 } });
  changes.add(other);
  expect(await settleAbandonedWork(changes.kernel, call)).toMatchObject([{ operationId: other }]);
  expect(changes.rows.get(stuck)?.state).toBe('open');
});

test('a change that a living process has adopted is not taken from it, by whoever gave it up before either', async () => {
  const changes = new Changes();
  const operation = changes.add(other, { owner: { ...self, pid: 5 } });
  changes.kernel.leftToRecovery.add(other);
  const settling = settleAbandonedWork(changes.kernel, call);
  changes.rows.set(other, { ...operation, state: 'interrupted' });
  expect(await settling).toEqual([]);
  expect(changes.written).toEqual([]);
});

test('a change whose end cannot be recorded is settled again by the same process', async () => {
  const changes = new Changes();
  changes.add(other);
  const { tasks } = changes.kernel.deps;
  const commit = tasks.commit.bind(tasks);
  let refusals = 1;
  Object.assign(tasks, {
    commit: async (change: Change) => {
      if (change.records[0]?.type !== 'work.adopted' && refusals-- > 0)
        throw new OpencodeToolsError('OCT_STORE_UNAVAILABLE', 'The registry is away');
      return commit(change);
    },
  });
  expect(await settleAbandonedWork(changes.kernel, call)).toEqual([]);
  expect(changes.rows.get(other)?.state).toBe('open');
  expect(await settleAbandonedWork(changes.kernel, call)).toMatchObject([{ resolution: 'interrupted' }]);
  expect(changes.written).toEqual(['work.adopted', 'work.interrupted']);
});

test('a merge whose work tree could not go along says so', async () => {
  const changes = new Changes();
  changes.outcome = { outcome: 'finished', left: ['/srv/project'], saved: null };
  const settled = await settleWork(changes.kernel, changes.add(other), call);
  expect(settled?.resolution).toBe('completed');
  expect(settled?.summary).toMatch(/files at "\/srv\/project" are still as before/);
});

test('a directory in which a sandbox of another task runs is put right once that has stopped', async () => {
  const changes = new Changes();
  changes.add(other);
  changes.running = [{ taskId: 'tsk_00000000000000000000000009', name: 'oct-other' }];
  expect(await settleAbandonedWork(changes.kernel, call)).toMatchObject([
    { summary: expect.stringContaining('has not stopped') as string },
  ]);
  expect(changes.forgotten).toEqual([]);
  changes.running = [];
  await settleRecorded(changes.kernel, call);
  expect(changes.forgotten).toContain(other);
  expect(changes.written).toEqual(['work.adopted', 'work.interrupted', 'work.undone']);
});

test('of two calls that find a change at once one settles it', async () => {
  const changes = new Changes();
  const operation = changes.add(other, { owner: self });
  changes.kernel.leftToRecovery.add(other);
  const both = await Promise.all([1, 2].map(async () => settleWork(changes.kernel, operation, call)));
  expect(both.filter((settled) => settled !== null)).toHaveLength(1);
  expect(changes.written.filter((type) => type !== 'work.adopted')).toEqual(['work.interrupted']);
});
