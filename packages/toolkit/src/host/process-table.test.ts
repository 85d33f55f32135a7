import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { processTableContract } from '@opencode-tools/testkit';
import { expect, test } from 'vitest';
import { createProcessTable } from './process-table.ts';

const idle = ['-e', 'setInterval(() => {}, 1000); process.stdout.write("up")'];

async function startChild(): Promise<ChildProcess & { readonly pid: number }> {
  const child = spawn(process.execPath, idle, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child as ChildProcess & { readonly pid: number };
}

/** Asks a child for its own reference, as another process of ours would record it. */
async function referenceFromChild(): Promise<{
  readonly child: ChildProcess;
  readonly reference: ReturnType<ReturnType<typeof createProcessTable>['self']>;
}> {
  const module = new URL('./process-table.ts', import.meta.url).href;
  const code = `import(${JSON.stringify(module)}).then(({ createProcessTable }) => {
    process.stdout.write(JSON.stringify(createProcessTable().self()) + '\\n');
    setInterval(() => {}, 1000);
  });`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, reference: JSON.parse(line.toString('utf8')) };
}

test('a process knows itself as alive', () => {
  const table = createProcessTable();
  expect(table.self().pid).toBe(process.pid);
  expect(table.isAlive(table.self())).toBe(true);
});

test('a process killed with SIGKILL is gone, and was alive until then', async () => {
  const table = createProcessTable();
  const { child, reference } = await referenceFromChild();
  expect(table.isAlive(reference)).toBe(true);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(table.isAlive(reference)).toBe(false);
});

test('another process that got the same pid is not taken for it', async () => {
  const child = await startChild();
  try {
    const table = createProcessTable();
    const { startedAt: _own, ...self } = table.self();
    expect(table.isAlive({ ...self, pid: child.pid, startedAt: '1' })).toBe(false);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

test('a process of another boot is gone; one of another host or pid space counts as alive', () => {
  const table = createProcessTable();
  const self = table.self();
  const [boot, space] = self.bootId.split('/');
  expect(table.isAlive({ ...self, bootId: `other/${space}` })).toBe(false);
  expect(table.isAlive({ ...self, bootId: `${boot}/1`, pid: 2 ** 22 })).toBe(true);
  expect(table.isAlive({ ...self, hostId: 'elsewhere', pid: 2 ** 22 })).toBe(true);
});

test('without /proc, ps tells when a process began', async () => {
  const child = await startChild();
  const table = createProcessTable('freebsd');
  const self = table.self();
  expect(table.isAlive(self)).toBe(true);
  expect(self.startedAt).not.toBe('');
  expect(table.isAlive({ ...self, startedAt: 'Thu Jan 1 00:00:00 1970' })).toBe(false);
  const other = { ...self, pid: child.pid, startedAt: '' };
  expect(table.isAlive(other)).toBe(true);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(table.isAlive(other)).toBe(false);
});

processTableContract('the process table of this host', createProcessTable(), async () => {
  const { child, reference } = await referenceFromChild();
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return { reference, kill };
});
