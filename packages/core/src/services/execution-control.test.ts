import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { kernelOver } from '../../test/kernel.ts';
import { taskId } from '../../test/records.ts';
import { call, proof } from '../../test/task.ts';
import type { Execution } from '../domain/execution.ts';
import type { ExecutionId } from '../domain/ids.ts';
import type { Operation } from '../domain/operation.ts';
import type { BackgroundState } from '../ports/background-commands.ts';
import type { SandboxHandle } from '../ports/sandbox-runtime.ts';
import type { OutputStream } from '../ports/task-memory.ts';
import { createBackgroundKeeper } from './background.ts';
import { controlOfExecutions } from './execution-control.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';

const owner: Operation['owner'] = { hostId: 'host', bootId: 'boot', pid: 7, startedAt: '1' };
const spoolBytes = 2 * 1024 ** 2;
const pieceBytes = 512 * 1024;

type Pull = readonly [ExecutionId, OutputStream, number];

/** A command whose spool is filled again while nobody looks, as a command does that puts out faster than it is read. */
class Chatty {
  looks = 0;
  #kept = 0;
  #spooled = 0;
  readonly #endsAtMs: number;
  readonly #totalBytes: number;

  constructor({ totalBytes, endsAtMs }: { readonly totalBytes: number; readonly endsAtMs: number }) {
    this.#totalBytes = totalBytes;
    this.#endsAtMs = performance.now() + endsAtMs;
  }

  readonly execution = {
    id: 'exe_00000000000000000000000001',
    taskId,
    operationId: 'opn_00000000000000000000000001',
    state: 'running',
    background: true,
  } as unknown as Execution;

  control() {
    const kernel = kernelOver({
      homeId: 'home' as never,
      egress: { injectedValues: async () => [] } as never,
      tasks: {
        getTask: async () => ({ homeId: 'home', sandboxSpec: { env: [] } }) as never,
        findExecution: async () => ({ ...this.execution, state: 'exited' }),
        findOperation: async () => {
          const state = this.#isOver() ? 'completed' : 'open';
          return {
            id: this.execution.operationId,
            taskId,
            kind: 'execution',
            state,
            owner,
            intent: {},
            proof,
          } as never;
        },
      },
      memory: {
        outputBytes: async (_: unknown, __: unknown, stream: OutputStream) => (stream === 'stdout' ? this.#kept : 0),
        writeOutput: async (_: unknown, __: unknown, ___: unknown, part: { readonly bytes: Uint8Array }) => {
          this.#kept += part.bytes.length;
        },
      } as never,
      defaults: { outputMaxBytes: 1e9 } as never,
      processes: { self: () => owner, isAlive: () => true },
    });
    const handle = {
      inspect: async () => ({ state: 'running' }),
      background: { look: async () => this.#look(), pull: async (...where: Pull) => this.#pull(...where) },
    } as unknown as SandboxHandle;
    const keeper = { find: async () => ({ handle }) } as unknown as SandboxKeeper;
    return controlOfExecutions(kernel, keeper, createBackgroundKeeper(kernel, keeper), async () => this.execution);
  }

  #look(): BackgroundState {
    this.looks += 1;
    this.#spooled = Math.min(this.#totalBytes, this.#kept + spoolBytes);
    return { kind: 'running' };
  }

  #pull(_: ExecutionId, stream: OutputStream, offset: number): Uint8Array {
    return Buffer.alloc(stream === 'stdout' ? Math.min(2 * pieceBytes, this.#spooled - offset) : 0);
  }

  #isOver(): boolean {
    return this.#kept === this.#totalBytes && performance.now() >= this.#endsAtMs;
  }
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const waited = async (command: Chatty): Promise<number> => {
  const before = performance.now();
  const waiting = command.control().wait(command.execution.id, { timeoutMs: 600_000 }, call);
  await vi.runAllTimersAsync();
  expect(await waiting).toMatchObject({ state: 'exited' });
  return performance.now() - before;
};

test('waiting for a command that fills its spool pauses only when a look brought little', async () => {
  const command = new Chatty({ totalBytes: 64 * 1024 ** 2, endsAtMs: 0 });
  expect(await waited(command)).toBeLessThan(100);
  expect(command.looks).toBe(32);
});

test('waiting for a command that puts nothing out looks twice a second in the long run', async () => {
  const command = new Chatty({ totalBytes: 0, endsAtMs: 60_000 });
  expect(await waited(command)).toBeLessThan(60_501);
  expect(command.looks).toBeLessThan(130);
});

test('waiting for a command whose process died ends before anybody has recorded that', async () => {
  const execution = {
    id: 'exe_00000000000000000000000001',
    operationId: 'opn_00000000000000000000000001',
    taskId,
    state: 'running',
  };
  const isAlive = vi.fn<() => boolean>(() => true);
  const kernel = kernelOver({
    tasks: { findOperation: async () => ({ state: 'open', owner }) as never },
    processes: { self: () => owner, isAlive },
  });
  const keeper = {} as SandboxKeeper;
  const get = async () => execution as Execution;
  const { wait } = controlOfExecutions(kernel, keeper, createBackgroundKeeper(kernel, keeper), get);
  const waiting = wait(execution.id as ExecutionId, { timeoutMs: 600_000 }, call);
  await vi.advanceTimersByTimeAsync(10_000);
  isAlive.mockReturnValue(false);
  const before = performance.now();
  await vi.runAllTimersAsync();
  expect(await waiting).toMatchObject({ state: 'interrupted', reason: 'owner-died' });
  expect(performance.now() - before).toBeLessThan(1_000);
});
