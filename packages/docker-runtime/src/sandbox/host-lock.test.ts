import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { HostLock } from './host-lock.ts';

const source = fileURLToPath(new URL('host-lock.ts', import.meta.url));
const onLinux = process.platform === 'linux';

/** A process that holds a lock until it is killed, and when it has it. */
function holder(name: string): { readonly child: ReturnType<typeof spawn>; readonly holds: Promise<unknown> } {
  const program = `
    const { HostLock } = await import(${JSON.stringify(source)});
    await new HostLock(${JSON.stringify(name)}).hold();
    process.stdout.write('held');
    setInterval(() => undefined, 1_000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return { child, holds: once(child.stdout, 'data') };
}

test.runIf(onLinux)('what another process holds is had once that is killed', async () => {
  const name = `test-${process.pid}-1`;
  const { child, holds } = holder(name);
  await holds;
  const order: string[] = [];
  const held = new HostLock(name).hold().then((release) => {
    order.push('held');
    release();
  });
  await new Promise((resolve) => setTimeout(resolve, 200));
  order.push('killed');
  child.kill('SIGKILL');
  await held;
  expect(order).toEqual(['killed', 'held']);
});

test.runIf(onLinux)(
  'one process holds it in several places, and others get it when all have given it back',
  async () => {
    const name = `test-${process.pid}-2`;
    const [one, two] = [await new HostLock(name).hold(), await new HostLock(name).hold()];
    const { child, holds } = holder(name);
    const order: string[] = [];
    const got = holds.then(() => order.push('got'));
    one();
    one();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    order.push('given back');
    two();
    await got;
    expect(order).toEqual(['given back', 'got']);
    child.kill('SIGKILL');
    (await new HostLock(name).hold())();
  },
);
