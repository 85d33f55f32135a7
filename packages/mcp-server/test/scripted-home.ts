import {
  type AttachOptions,
  type Call,
  type Execution,
  type ExecutionResult,
  type FoundMemory,
  type Lease,
  type OpenHome,
  OpencodeToolsError,
  type RunCommand,
  type Session,
  type SessionId,
  type Task,
  createIds,
  systemClock,
} from '@opencode-tools/core';
import { sampleTask } from '@opencode-tools/testkit';

const ids = createIds(systemClock);
const at = '2026-11-20T08:00:00.000Z';
const homeId = ids.next('home');
export const taskId = ids.next('task');
export const sessionId = ids.next('session');
export const otherSessionId = ids.next('session');
const leaseId = ids.next('lease');

const task: Task = sampleTask(homeId, { id: taskId, title: 'Add a login page', status: 'running' });

const session: Session = {
  id: sessionId,
  taskId,
  leaseId,
  agent: 'build',
  model: null,
  state: 'attached',
  ephemeral: false,
  attachedAt: at,
  endedAt: null,
  endReason: null,
};

function lease(ttlMs = 900_000): Lease {
  return {
    id: leaseId,
    taskId,
    sessionId,
    mode: 'exclusive',
    token: 1,
    state: 'held',
    ttlMs,
    acquiredAt: at,
    renewedAt: at,
    expiresAt: at,
    endedAt: null,
  };
}

export function executionResult(stdout: string, more: Partial<Execution> = {}, stderr = ''): ExecutionResult {
  const preview = (text: string) => ({ text, totalBytes: Buffer.byteLength(text), truncated: false });
  return {
    execution: {
      id: ids.next('execution'),
      taskId,
      sessionId,
      operationId: ids.next('operation'),
      command: { kind: 'script', script: 'true' },
      cwd: '/workspace',
      envNames: [],
      agent: 'build',
      state: 'exited',
      reason: 'exited',
      exitCode: 0,
      signal: null,
      stdout: null,
      stderr: null,
      startedAt: at,
      endedAt: at,
      durationMs: 1_234,
      ...more,
    },
    stdout: preview(stdout),
    stderr: preview(stderr),
  };
}

/** What a test decides; everything else of a home is absent. */
export interface Script {
  readonly run?: (options: RunCommand, call: Call) => Promise<ExecutionResult>;
  /** What has become of a command. */
  readonly wait?: () => Promise<Execution>;
  readonly signal?: (name: string) => void;
  readonly attach?: (options: AttachOptions, call: Call) => Promise<{ readonly ttlMs: number }>;
  readonly search?: () => Promise<FoundMemory>;
  readonly renew?: (sessionId: SessionId) => Promise<Lease>;
  readonly close?: () => Promise<void>;
}

/** A home whose services do what a test says, for faults and timing that no real engine produces on demand. */
export function scriptedHome(script: Script): OpenHome {
  const notFound = () => Promise.reject(new OpencodeToolsError('OCT_TASK_NOT_FOUND', 'No task is known by that name'));
  const services = {
    tasks: {
      resolve: (reference: string) => (reference === taskId ? Promise.resolve(taskId) : notFound()),
      create: () => Promise.resolve(task),
    },
    sessions: {
      get: () => Promise.resolve(session),
      renew: script.renew ?? (() => Promise.resolve(lease())),
      detach: () => Promise.resolve({ ...task, status: 'suspended' }),
      attach: async (_taskId: string, options: AttachOptions, call: Call) => {
        const { ttlMs } = (await script.attach?.(options, call)) ?? { ttlMs: 900_000 };
        return { session, lease: lease(ttlMs), task, displaced: [], recovered: [], endedProcesses: 0 };
      },
    },
    journal: {
      todos: () => Promise.resolve([]),
      decisions: () => Promise.resolve([]),
      search: () => script.search?.() ?? Promise.resolve({ hits: [], more: false }),
    },
    monitor: { round: () => Promise.resolve([]), start: () => ({ close: () => Promise.resolve() }) },
    executions: {
      run: (_taskId: string, options: RunCommand, call: Call) =>
        script.run?.(options, call) ?? Promise.resolve(executionResult('')),
      signal: async (_id: string, name: string) => script.signal?.(name),
      wait: () => script.wait?.() ?? Promise.resolve(executionResult('').execution),
    },
  };
  const home = { homeId, directory: '/', services, close: script.close ?? (() => Promise.resolve()) };
  return home as unknown as OpenHome;
}
