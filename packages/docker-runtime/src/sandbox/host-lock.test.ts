import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { HostLock } from './host-lock.ts';

const source = fileURLToPath(new URL('host-lock.ts', import.meta.url));
const onLinux = process.platform === 'linux';

async function holder(name: string): Promise<ReturnType<typeof spawn>> {
  const program = `
    const { HostLock } = await import(${JSON.stringify(source)});
    await new HostLock(${JSON.stringify(name)}).hold();
    process.stdout.write('held');
    setInterval(() => undefined, 1_000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

test.runIf(onLinux)('what another process holds is had once that is killed', async () => {
  const name = `test-${process.pid}-1`;
  const child = await holder(name);
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
    const [lock, other] = [new HostLock(name), new HostLock(name)];
    const [one, two] = [await lock.hold(), await lock.hold()];
    let got = false;
    const waiting = other.hold().then((release) => {
      got = true;
      return release;
    });
    one();
    one();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(got).toBe(false);
    two();
    (await waiting)();
    (await lock.hold())();
  },
);
