import { execFile } from 'node:child_process';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  type GitPort,
  type HookContext,
  OpencodeToolsError,
  type SandboxPlan,
  type Task,
  createIds,
  defaultLimits,
  systemClock,
} from '@opencode-tools/core';
import { sampleTask } from '@opencode-tools/testkit';
import { onTestFinished } from 'vitest';

const run = promisify(execFile);
const ids = createIds(systemClock);

export async function temporaryDirectory(): Promise<string> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'oct-hooks-')));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

export async function git(directory: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run('git', ['-C', directory, ...args]);
  return stdout.trim();
}

export async function repository(): Promise<string> {
  const directory = await temporaryDirectory();
  await git(directory, 'init', '--quiet', '--initial-branch=main');
  await commit(directory, 'first');
  return directory;
}

export async function commit(directory: string, message: string): Promise<void> {
  const identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.org'];
  await git(directory, ...identity, 'commit', '--quiet', '--allow-empty', '-m', message);
}

/** The git program behind the port, without the care for hostile repositories that the real adapter takes. */
export const gitProgram: GitPort = {
  async inspect(directory, ref = 'HEAD') {
    try {
      const topDirectory = await git(directory, 'rev-parse', '--show-toplevel');
      const commit = await git(directory, 'rev-parse', '--verify', `${ref}^{commit}`);
      const branch = await git(directory, 'symbolic-ref', '--quiet', '--short', 'HEAD').catch(() => null);
      return { topDirectory, commit, branch, dirtyPaths: [], submodules: [], shallow: false };
    } catch (cause) {
      throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `${directory} is no repository`, { cause });
    }
  },
  async resolve(directory, ref) {
    const { topDirectory, commit, shallow } = await gitProgram.inspect(directory, ref);
    return { topDirectory, commit, shallow, bare: false };
  },
  isBranchName: (name) =>
    run('git', ['check-ref-format', '--branch', name]).then(
      () => true,
      () => false,
    ),
  async listBranches(directory) {
    const text = await git(directory, 'for-each-ref', '--format=%(refname:lstrip=2)', 'refs/heads');
    return text === '' ? [] : text.split('\n');
  },
  async createBranch(directory, branch) {
    await git(directory, 'checkout', '--quiet', '-b', branch);
  },
};

export function task(overrides: Partial<Task> = {}): Task {
  return sampleTask(ids.next('home'), {
    title: 'Add a login page',
    description: 'People cannot log in.',
    ...overrides,
  });
}

export function context(overrides: Partial<HookContext> = {}): HookContext {
  return {
    point: 'workspace:seeding',
    task: task(),
    agent: 'build',
    model: 'claude-sonnet-4.5',
    sessionId: null,
    ...overrides,
  };
}

export function plan(overrides: Partial<SandboxPlan> = {}): SandboxPlan {
  return {
    name: 'oct-test-1',
    homeId: ids.next('home'),
    taskId: ids.next('task'),
    operationId: ids.next('operation'),
    generation: 1,
    imageId: 'sha256:00',
    user: { uid: 1000, gid: 1000 },
    limits: defaultLimits,
    networkMode: 'fixed-none',
    mounts: [
      { kind: 'volume', volume: 'oct-workspace', target: '/workspace', readOnly: false },
      { kind: 'volume', volume: 'oct-home', target: '/home/agent', readOnly: false },
    ],
    workingDirectory: '/workspace',
    readOnlyRoot: false,
    runtime: null,
    fence: { minToken: 1, revoked: [] },
    ...overrides,
  };
}
