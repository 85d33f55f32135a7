import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Execution, Task } from '@opencode-tools/core';
import { type TestEngine, openTestEngine, until } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cli, openCli } from './run-bin.ts';

const bin = fileURLToPath(new URL('../dist/bin.cjs', import.meta.url));

let engine: TestEngine;
let cli: Cli;
let task: Task;

beforeAll(async () => {
  engine = await openTestEngine();
  cli = await openCli();
  ({ task } = await cli.json<{ task: Task }>(['create-task', 'Terminal', '--image', engine.imageId]));
});
afterAll(async () => {
  await cli.run(['cleanup-task', task.id, '--force']);
  await cli[Symbol.asyncDispose]();
  await engine.close();
});

describe('shell', () => {
  test('joins the terminal of a person with one in the sandbox, whatever its size, to the exit code', async () => {
    const on = onTerminal(['shell', task.id]);
    await until(() => on.device() !== undefined && on.shown().includes('$ '));
    on.child.stdin?.write('echo "[$TERM]" $((20 + 1))\r');
    await until(() => on.shown().includes('[vt220] 21\n'));
    // What moves the cursor straight down, as curses does, is not made to move it to the left as well.
    on.child.stdin?.write("stty -onlcr; printf 'down\\ndown\\n'; stty onlcr\r");
    await until(() => on.shown().includes('down\ndown\n'));
    expect(on.shownAsIs()).toContain('down\ndown\n');
    execFileSync('stty', ['-F', on.device() ?? '', 'rows', '33', 'cols', '99']);
    const sizes = () => on.shown().match(/^\d+ \d+$/gm) ?? [];
    // One question at a time: a terminal that is full of them takes no more, and gives nothing.
    await until(async () => {
      const { length } = sizes();
      on.child.stdin?.write('stty size\r');
      await until(() => sizes().length > length);
      return sizes().at(-1) === '33 99';
    });
    on.child.stdin?.write('exit 9\r');
    expect(await on.ended).toBe(9);
    const [execution] = (await cli.json<{ executions: Execution[] }>(['task-executions', task.id])).executions;
    expect(execution).toMatchObject({ state: 'exited', exitCode: 9, reason: 'exited' });
    const kept = await cli.run(['task-executions', task.id, '--output', execution?.id ?? '']);
    expect(kept.stdout).toContain('[vt220] 21\r\n');
  });

  test('ends the program when the terminal goes away, and is refused where there is none', async () => {
    const on = onTerminal(['shell', task.id, '--', 'sleep', '761']);
    const runs = async (): Promise<boolean> =>
      (await cli.run(['exec', task.id, '--script', 'ps | grep -v grep | grep -c "sleep 761"'])).stdout !== '0\n';
    await until(() => on.device() !== undefined);
    await until(async () =>
      (await cli.json<{ executions: Execution[] }>(['task-executions', task.id])).executions.some(
        ({ state, command }) => state === 'running' && command.kind === 'argv' && command.argv.includes('761'),
      ),
    );
    on.child.kill('SIGKILL');
    await on.ended;
    await until(async () => !(await runs()));
    expect(await cli.run(['shell', task.id])).toMatchObject({ code: 125, stdout: '' });
  });
});

test('exec runs commands in a shell that one process after the other finds as it was left', async () => {
  const { session } = await cli.json<{ session: { id: string } }>(['resume-task', task.id]);
  const env = { OPENCODE_TOOLS_SESSION: session.id };
  const inShell = async (script: string) => cli.run(['exec', task.id, '--shell', 'work', '--script', script], { env });
  expect(await inShell('mkdir -p deep; cd deep; f() { echo "f $1"; }')).toMatchObject({ code: 0 });
  expect(await inShell('pwd; f x; (exit 5)')).toMatchObject({ code: 5, stdout: '/workspace/deep\nf x\n' });
  expect((await cli.run(['shells', task.id])).stdout).toContain('work');
  expect(await cli.run(['close-shell', task.id, 'work'], { env })).toMatchObject({ code: 0, stdout: 'work: exit 0\n' });
  expect((await cli.run(['shells', task.id])).stdout).toContain('No shells.');
  await cli.run(['detach'], { env });
});

interface OnTerminal {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  /** Without carriage returns. */
  shown(): string;
  shownAsIs(): string;
  /** The terminal of our process, once it has one. */
  device(): string | undefined;
}

/** Runs the command on a real pseudo-terminal. */
function onTerminal(argv: readonly string[]): OnTerminal {
  const command = [process.execPath, bin, ...argv].map((word) => `'${word}'`).join(' ');
  const { PATH = '', DOCKER_HOST } = process.env;
  const engineAt = DOCKER_HOST === undefined ? {} : { DOCKER_HOST };
  const child = spawn('script', ['-q', '-e', '-f', '-c', `exec ${command}`, '/dev/null'], {
    env: { PATH, HOME: cli.home, OPENCODE_TOOLS_HOME: cli.home, TERM: 'vt220', SHELL: '/bin/sh', ...engineAt },
  });
  let shown = '';
  child.stdout.on('data', (chunk: Buffer) => void (shown += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', resolve);
  });
  return {
    child,
    ended,
    shown: () => shown.replaceAll('\r', ''),
    shownAsIs: () => shown,
    device: () => deviceOf(child.pid ?? 0),
  };
}

function deviceOf(parent: number): string | undefined {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const after = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1] ?? '';
      if (after.split(' ')[1] !== String(parent)) continue;
      const device = readlinkSync(`/proc/${pid}/fd/0`);
      if (device.startsWith('/dev/pts/')) return device;
    } catch {
      // The process has ended meanwhile.
    }
  }
  return undefined;
}
