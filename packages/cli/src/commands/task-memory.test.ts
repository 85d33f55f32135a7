import type { OpenHome } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import { runLine, taskId } from '../../test/run-line.ts';

const head = { seq: 7, hash: 'ab12' };

function openWith(store: object): () => Promise<OpenHome> {
  const services = { tasks: { resolve: async () => taskId } };
  return async () =>
    ({ homeId: 'hom_1', directory: '/home', notices: [], services, store, close: async () => {} }) as never;
}

test('task-memory export writes into the named folder, by default the current one, and says whether it changed', async () => {
  const asked: unknown[] = [];
  const exportMemory = async (...argv: unknown[]) => {
    asked.push(argv);
    return { taskId, path: '/repo/\u001b[31m.task-memory', changed: asked.length === 1, head };
  };
  const openHome = openWith({ exportMemory });
  const first = await runLine(['task-memory', 'export', 't'], {}, { openHome });
  expect(first.stdout).toBe(`exported 00000001 up to record 7\n${String.raw`$'/repo/\u001b[31m.task-memory'`}\n`);
  const second = await runLine(['task-memory', 'export', 't', 'repo'], {}, { openHome });
  expect(second.stdout).toContain('unchanged 00000001');
  expect(asked).toEqual([
    [taskId, '/somewhere'],
    [taskId, '/somewhere/repo'],
  ]);
});

test('task-memory import lists the tasks that it took in', async () => {
  const asked: unknown[] = [];
  const importMemory = async (directory: string) => {
    asked.push(directory);
    return [{ taskId, homeId: 'hom_2', added: 1, head }];
  };
  const line = await runLine(['task-memory', 'import', '/repo'], {}, { openHome: openWith({ importMemory }) });
  expect(line.stdout).toBe('taken in 00000001 1 new record; head 7 ab12\n');
  expect(asked).toEqual(['/repo']);
});
