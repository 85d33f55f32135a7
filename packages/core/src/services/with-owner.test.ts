import { expect, test } from 'vitest';
import { kernelOver } from '../../test/kernel.ts';
import { taskId } from '../../test/records.ts';
import type { Execution } from '../domain/execution.ts';
import { createExecutionService } from './execution-service.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';

const running = { id: 'exe_00000000000000000000000001', operationId: 'opn_1', taskId, state: 'running', reason: null };

test.each([
  ['interrupted when its process is dead', running, { isOpen: true, lives: false }, 'interrupted'],
  ['running while its process lives', running, { isOpen: true, lives: true }, 'running'],
  ['as recorded when it has ended meanwhile', running, { isOpen: false, lives: false }, 'running'],
  ['running in the background', { ...running, background: true }, { isOpen: true, lives: false }, 'running'],
  ['exited as recorded', { ...running, state: 'exited' }, { isOpen: true, lives: false }, 'exited'],
])('an execution is listed as %s', async (_what, execution, { isOpen, lives }, state) => {
  const kernel = kernelOver({
    tasks: {
      listExecutions: async () => ({ items: [execution as unknown as Execution], next: null }),
      findOperation: async () => ({ state: isOpen ? 'open' : 'completed', owner: { pid: 7 } }) as never,
    },
    processes: { self: () => ({}) as never, isAlive: () => lives },
  });
  const { items, next } = await createExecutionService(kernel, {} as SandboxKeeper).list(taskId);
  expect(next).toBeNull();
  const reason = state === 'interrupted' ? 'owner-died' : null;
  expect(items).toEqual([{ ...execution, state, reason }]);
});
