import { expect, test } from 'vitest';
import { leaseLost } from '../../test/leases.ts';
import { kernelOver } from '../../test/kernel.ts';
import { taskId } from '../../test/records.ts';
import { call, proof, taskWith } from '../../test/task.ts';
import type { Checkpoint } from '../domain/checkpoint.ts';
import type { OperationId } from '../domain/ids.ts';
import type { Operation } from '../domain/operation.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Change } from '../ports/task-store.ts';
import { recoverTask } from './recovery.ts';
import { runOperation } from './run-operation.ts';
import type { LeasedWork } from './with-lease.ts';

const owner: Operation['owner'] = { hostId: 'host', bootId: 'boot', pid: 7, startedAt: '1' };

/** A registry of operations: what a commit puts is open or not, and a commit can be refused. */
class Operations {
  readonly rows = new Map<OperationId, Operation>();
  readonly changes: Change[] = [];
  refuse: (change: Change) => OpencodeToolsError | undefined = () => undefined;
  ownerAlive = true;

  readonly kernel = kernelOver({
    tasks: {
      commit: async (change) => this.#commit(change),
      findOperation: async (id) => this.rows.get(id),
      listOpenOperations: async () => [...this.rows.values()].filter(({ state }) => state === 'open'),
    },
    leases: { listActive: async () => [{ id: proof.leaseId, token: proof.token }] } as never,
    processes: { self: () => owner, isAlive: () => this.ownerAlive },
    ids: { next: () => 'opn_00000000000000000000000001' } as never,
    notifier: { publish: () => undefined },
    logger: { warn: () => undefined } as never,
  });

  open(): Operation {
    const operation = this.kernel.newOperation('file', taskId, proof, { verb: 'write' });
    this.rows.set(operation.id, operation);
    return operation;
  }

  #commit(change: Change): readonly never[] {
    const refusal = this.refuse(change);
    if (refusal !== undefined) throw refusal;
    this.changes.push(change);
    for (const put of change.records.flatMap(({ puts }) => puts)) {
      if (put.noun === 'operation') this.rows.set(put.value.id, put.value);
    }
    return [];
  }
}

test('what a dead process left open is settled under the lease of whoever recovers', async () => {
  const operations = new Operations();
  const { id } = operations.open();
  operations.ownerAlive = false;
  expect(await recoverTask(operations.kernel, proof, call)).toMatchObject([
    { operationId: id, resolution: 'interrupted' },
  ]);
  const [change] = operations.changes;
  expect(change?.guard).toMatchObject({
    lease: { leaseId: proof.leaseId, token: proof.token },
    openOperation: id,
  });
  expect(change?.records[0]?.token).toBe(proof.token);
});

test('whoever lost the lease while it looked at the facts settles nothing', async () => {
  const operations = new Operations();
  operations.open();
  operations.ownerAlive = false;
  operations.refuse = ({ guard }) => (guard?.lease === undefined ? undefined : leaseLost());
  await expect(recoverTask(operations.kernel, proof, call)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
  expect(operations.changes).toEqual([]);
});

test('an operation whose end its process could not record is settled by that process later, while it lives and has the lease', async () => {
  const operations = new Operations();
  const { kernel } = operations;
  const operation = kernel.newOperation('file', taskId, proof, { verb: 'write' });
  const leased = { proof, session: { id: proof.sessionId }, notices: [] } as unknown as LeasedWork;
  const failing = runOperation(kernel, { operation, excludes: [] }, leased, call, async () => {
    operations.refuse = () => new OpencodeToolsError('OCT_STORE_UNAVAILABLE', 'The registry is away');
    throw new Error('the effect failed');
  });
  await expect(failing).rejects.toThrow('the effect failed');
  operations.refuse = () => undefined;
  expect(await recoverTask(kernel, proof, call)).toMatchObject([{ operationId: operation.id }]);
  expect(operations.rows.get(operation.id)?.state).toBe('interrupted');
});

test('a restore that recovery finishes is told of as one that its own process finished', async () => {
  const operations = new Operations();
  const [checkpointId, savedCheckpointId] = ['chk_00000000000000000000000001', 'chk_00000000000000000000000002'];
  const target = { id: checkpointId, taskId, name: 'before', workspace: { id: 'snp_1' }, root: null };
  const { deps } = operations.kernel;
  const kernel = kernelOver({
    ...deps,
    tasks: { ...deps.tasks, getTask: async () => taskWith(), findSandbox: async () => undefined },
    checkpoints: { find: async () => target as unknown as Checkpoint } as never,
    workspaces: { restoreDirectory: async () => undefined } as never,
    runtime: { listIn: async () => [] } as never,
  });
  const operation = kernel.newOperation('restore', taskId, proof, {
    checkpointId,
    savedCheckpointId,
    directory: '/src',
  });
  operations.rows.set(operation.id, operation);
  operations.ownerAlive = false;
  expect(await recoverTask(kernel, proof, call)).toMatchObject([{ kind: 'restore', resolution: 'completed' }]);
  expect(operations.changes[0]?.records).toMatchObject([
    { type: 'restore.completed', operationId: operation.id },
    { type: 'task.restored', token: proof.token, detail: { checkpointId, savedCheckpointId } },
  ]);
});

test.each([
  ['failed', true, 1],
  ['interrupted', true, 1],
  ['completed', true, 0],
  ['open', true, 0],
  ['failed', false, 0],
] as const)(
  'what an effect made is removed after another process settled it as %s, if it carries its id (%s): %i times',
  async (state, clearsOwn, times) => {
    const operations = new Operations();
    const { kernel } = operations;
    const operation = kernel.newOperation('sandbox', taskId, proof, {});
    const leased = { proof, session: { id: proof.sessionId }, notices: [] } as unknown as LeasedWork;
    let cleared = 0;
    const late = runOperation(
      kernel,
      { operation, excludes: [] },
      leased,
      call,
      async () => {
        operations.rows.set(operation.id, { ...operation, state });
        operations.refuse = () => leaseLost();
        return { result: undefined, outcome: {}, puts: () => [] };
      },
      { clear: async () => void (cleared += 1), clearsOwn },
    );
    await expect(late).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
    expect(cleared).toBe(times);
    expect(kernel.leftToRecovery.has(operation.id)).toBe(state === 'open');
  },
);
