import { expect, test } from 'vitest';
import { kernelOver } from '../../test/kernel.ts';
import { taskId } from '../../test/records.ts';
import { proof, taskWith } from '../../test/task.ts';
import type { TaskId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Operation, OperationKind } from '../domain/operation.ts';
import { assertNobodyWritesIn } from './shared-directory.ts';

const other = 'tsk_00000000000000000000000009' as TaskId;
const workspace = { mode: 'bind', path: '/srv/project' } as never;

async function start(kind: OperationKind, of: TaskId, intent: JsonObject, isAlive = true): Promise<void> {
  const open: Operation[] = [];
  const kernel = kernelOver({
    tasks: { listOpenOperations: async () => open },
    leases: { listActive: async () => [{ id: proof.leaseId, token: proof.token }] } as never,
    processes: { self: () => ({ hostId: 'h', bootId: 'b', pid: 7, startedAt: '1' }), isAlive: () => isAlive },
    ids: { next: () => 'opn_00000000000000000000000001' } as never,
  });
  open.push(kernel.newOperation(kind, of, proof, intent));
  await assertNobodyWritesIn(kernel, taskWith({ id: taskId, workspace }));
}

test.each([
  ['restore', '/srv/project'],
  ['restore', '/srv'],
  ['work', '/srv/project/part'],
] as const)('no sandbox starts in /srv/project during a %s into %s', async (kind, directory) => {
  const starting = start(kind, other, { directory });
  await expect(starting).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED', details: { kind } });
});

test.each([
  ['of its own task', 'restore', taskId, { directory: '/srv/project' }, true],
  ['whose process has died', 'restore', other, { directory: '/srv/project' }, false],
  ['elsewhere', 'work', other, { directory: '/srv/project-2' }, true],
  ['that goes to a branch', 'work', other, { directory: '/srv/project', branch: 'work', base: null }, true],
  ['of a volume', 'restore', other, { directory: null }, true],
  ['that writes nothing', 'checkpoint', other, { directory: '/srv/project' }, true],
] as const)('a sandbox starts beside an operation %s', async (_, kind, of, intent, isAlive) => {
  await expect(start(kind, of, intent, isAlive)).resolves.toBeUndefined();
});
