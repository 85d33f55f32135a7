import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { until } from '@opencode-tools/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Bell } from './bell.ts';
import { canRun } from './process-state.ts';

let directory: string;
let prefix: string;
let bells: Bell[];
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'oct-bell-'));
  prefix = path.join(directory, 'bell-');
  bells = [];
});
afterEach(() => {
  for (const bell of bells) bell.close();
  rmSync(directory, { recursive: true, force: true });
});

function bellOf(): Bell {
  const bell = new Bell(prefix);
  bells.push(bell);
  return bell;
}

const longMs = 60_000;

test('wakes who waits, and only them', async () => {
  const [rung, ringer, other] = [bellOf(), bellOf(), bellOf()];
  expect(other.id()).not.toBe(rung.id());
  const woken: string[] = [];
  const waits = [
    rung.heard(longMs).then(() => woken.push('rung')),
    other.heard(longMs).then(() => woken.push('other')),
  ];
  ringer.ring({ pid: process.pid, id: rung.id() });
  await waits[0];
  expect(woken).toEqual(['rung']);
  ringer.ring({ pid: process.pid, id: other.id() });
  await waits[1];
  expect(woken).toEqual(['rung', 'other']);
});

test('remembers a ring that came while its owner did something else', async () => {
  const [rung, ringer] = [bellOf(), bellOf()];
  const id = rung.id();
  const first = rung.heard(longMs);
  ringer.ring({ pid: process.pid, id });
  expect(await first).toBe(true);
  ringer.ring({ pid: process.pid, id });
  expect(await rung.heard(longMs)).toBe(true);
});

test('leaves nothing behind when it is closed', () => {
  const bell = bellOf();
  bell.id();
  expect(readdirSync(directory)).toHaveLength(1);
  bell.close();
  expect(readdirSync(directory)).toEqual([]);
});

test('gives up waiting after the limit', async () => {
  const bell = bellOf();
  bell.id();
  expect(await bell.heard(1)).toBe(false);
});

test('hangs up another when somebody took its own away', async () => {
  const [bell, ringer] = [bellOf(), bellOf()];
  const before = bell.id();
  const woken = bell.heard(longMs);
  for (const name of readdirSync(directory)) rmSync(path.join(directory, name));
  await woken;
  await until(() => bell.id() !== before);
  // The loss itself may have been heard as a ring.
  await bell.heard(1);
  const again = bell.heard(longMs);
  ringer.ring({ pid: process.pid, id: bell.id() });
  expect(await again).toBe(true);
});

test('takes away the bells of processes that are gone, and rings none of them', async () => {
  const child = spawn(process.execPath, ['-e', ''], { stdio: 'ignore' });
  await once(child, 'exit');
  const left = `${prefix}${child.pid}-5`;
  writeFileSync(left, '');
  const bell = bellOf();
  bell.id();
  expect(existsSync(left)).toBe(false);
  bell.ring({ pid: child.pid ?? 0, id: 5n });
  expect(existsSync(left)).toBe(false);
});

test('is none where no file can be kept', async () => {
  const bell = new Bell(path.join(directory, 'missing', 'bell-'));
  expect(bell.id()).toBe(0n);
  bell.ring({ pid: process.pid, id: 0n });
  await bell.heard(1);
  bell.close();
});

test('a process can run until it is stopped or gone', async () => {
  expect(canRun(process.pid)).toBe(true);
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] });
  await once(child, 'spawn');
  const pid = child.pid ?? 0;
  child.kill('SIGSTOP');
  while (canRun(pid) === (process.platform === 'linux')) await new Promise(setImmediate);
  expect(canRun(pid, 'stopped too')).toBe(true);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(canRun(pid, 'stopped too')).toBe(false);
});
