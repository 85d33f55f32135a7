import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { removeLayersOf } from '@opencode-tools/testkit';
import { onTestFinished } from 'vitest';

export const launcher = fileURLToPath(new URL('../dist/bin.cjs', import.meta.url));

/** A directory for a home, removed when the test ends, with what the engine keeps of it. */
export async function temporaryHome(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'oct-mcp-'));
  const home = join(directory, 'home');
  onTestFinished(async () => {
    await removeLayersOf(home);
    await rm(directory, { recursive: true, force: true });
  });
  return home;
}

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program with its input closed. */
export async function runProgram(...args: readonly string[]): Promise<Finished> {
  const { promise, resolve } = Promise.withResolvers<Finished>();
  const child = execFile(process.execPath, [launcher, ...args], (_error, stdout, stderr) =>
    resolve({ code: child.exitCode, stdout, stderr }),
  );
  child.stdin?.end();
  return await promise;
}

export const eras = {
  '2025-11-25': { mode: 'legacy' },
  'whatever both speak': { mode: 'auto' },
  '2026-07-28': { mode: { pin: '2026-07-28' } },
} as const;

export interface ToolResult {
  readonly text: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly isError: boolean;
}

/** Connects a client of the current SDK line to a server process of its own, until the test ends. */
export async function connect(home: string, era: keyof typeof eras = '2025-11-25', more: readonly string[] = []) {
  const connection = await open(home, era, more);
  onTestFinished(() => connection.client.close());
  return connection;
}

async function open(home: string, era: keyof typeof eras, more: readonly string[] = []) {
  const client = new Client({ name: 'app-test', version: '1' }, { versionNegotiation: eras[era] });
  const args = [launcher, '--home', home, ...more];
  const transport = new StdioClientTransport({ command: process.execPath, args, stderr: 'pipe' });
  await client.connect(transport);
  const call = async (
    name: string,
    args: Record<string, unknown>,
    options: Parameters<typeof client.callTool>[1] = {},
  ): Promise<ToolResult> => shorten(await client.callTool({ name, arguments: args }, options));
  return { client, transport, call };
}

/** The parts of a tool result that tests look at. */
export function shorten(result: unknown): ToolResult {
  const { content, structuredContent, isError } = result as {
    readonly content: readonly { readonly text: string }[];
    readonly structuredContent?: Readonly<Record<string, unknown>>;
    readonly isError?: boolean;
  };
  return {
    text: content.map(({ text }) => text).join('\n\n'),
    data: structuredContent ?? {},
    isError: isError === true,
  };
}

const run = promisify(execFile);

/** A git repository with one commit, removed when the test ends. */
export async function repository(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'oct-mcp-repo-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.org'];
  await run('git', ['-C', directory, 'init', '--quiet', '--initial-branch=main']);
  await run('git', ['-C', directory, ...identity, 'commit', '--quiet', '--allow-empty', '-m', 'first']);
  return directory;
}

/** Containers and volumes that the engine has for a task. */
export async function engineObjects(taskId: string): Promise<readonly string[]> {
  const filter = `label=io.opencode-tools.task=${taskId}`;
  const containers = await run('docker', ['ps', '-aq', '--filter', filter]);
  const volumes = await run('docker', ['volume', 'ls', '-q', '--filter', filter]);
  return `${containers.stdout}${volumes.stdout}`.split('\n').filter((line) => line !== '');
}

/** Deletes a task when the test ends, whoever holds it then, and removes the images that its final checkpoint made. */
export function deleteAtTheEnd(home: string, taskId: string, more: readonly string[] = []): void {
  onTestFinished(async () => {
    const { client, call } = await open(home, '2025-11-25', more);
    const { data } = await call('attach_agent_to_task', { task_id: taskId, agent: 'cleaner', takeover: true });
    const deleted = await call('delete_task', { task_id: taskId, session_id: data['session_id'] });
    for (const image of (deleted.data['kept_images'] ?? []) as readonly string[])
      await run('docker', ['rmi', '-f', image]);
    await client.close();
  });
}

/** Waits until a condition holds, at most 30 s. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('The condition did not hold within 30 s');
    await delay(50);
  }
}
