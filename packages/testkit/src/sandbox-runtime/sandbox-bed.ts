import type { HomeId, SandboxHandle, SandboxPlan, SandboxRuntime } from '@opencode-tools/core';
import { afterAll, beforeAll } from 'vitest';
import { samplePlan } from '../sandbox-samples.ts';

/** A runtime with an engine behind it. */
export interface OpenSandboxRuntime {
  readonly runtime: SandboxRuntime;
  /** Another runtime on the same engine, as in another process. */
  readonly other: SandboxRuntime;
  readonly homeId: HomeId;
  /** An image with `sh`, `sleep`, `cat`, `wc`, `tr` and a user 1000. */
  readonly imageId: string;
  readonly close: () => Promise<void>;
}

/** What the tests of one runtime share. Its members may be called inside of tests alone. */
export interface SandboxBed {
  runtime(): SandboxRuntime;
  other(): SandboxRuntime;
  /** One sandbox for all tests that leave no trace in it. */
  shared(): SandboxHandle;
  plan(change?: Partial<SandboxPlan>): SandboxPlan;
  /** Makes a sandbox, and destroys it after use. */
  withSandbox(
    use: (sandbox: SandboxHandle, made: SandboxPlan) => Promise<void>,
    change?: Partial<SandboxPlan>,
  ): Promise<void>;
}

/** Opens a runtime before the tests of the surrounding `describe`, and closes it after them. */
export function useSandboxBed(open: () => Promise<OpenSandboxRuntime>): SandboxBed {
  let opened: OpenSandboxRuntime;
  let shared: SandboxHandle;
  const plan = (change: Partial<SandboxPlan> = {}): SandboxPlan => samplePlan(opened.homeId, opened.imageId, change);
  beforeAll(async () => {
    opened = await open();
    shared = await opened.runtime.create(plan());
  });
  afterAll(async () => {
    await shared.destroy();
    await opened.close();
  });
  return {
    runtime: () => opened.runtime,
    other: () => opened.other,
    shared: () => shared,
    plan,
    withSandbox: async (use, change = {}) => {
      const made = plan(change);
      const sandbox = await opened.runtime.create(made);
      try {
        await use(sandbox, made);
      } finally {
        await sandbox.destroy();
      }
    },
  };
}
