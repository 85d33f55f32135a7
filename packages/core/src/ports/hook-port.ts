import type { SessionId } from '../domain/ids.ts';
import type { NetworkSpec } from '../domain/sandbox-spec.ts';
import type { Task } from '../domain/task.ts';
import type { SandboxPlan } from './sandbox-runtime.ts';

export const hookPoints = [
  'task:creating',
  'workspace:seeding',
  'task:starting',
  'sandbox:creating',
  'execution:starting',
  'egress:changing',
  'checkpoint:creating',
  'checkpoint:restoring',
  'task:completing',
  'task:cancelling',
  'task:deleting',
  'agent:attaching',
  'agent:detaching',
] as const;
export type HookPoint = (typeof hookPoints)[number];

/** What a hook gets to see. Members are present where the point has them. */
export interface HookContext {
  readonly point: HookPoint;
  readonly task: Task;
  readonly agent: string;
  readonly model: string | null;
  readonly sessionId: SessionId | null;
  /**
   * `workspace:seeding` only: a directory of the host that will become the workspace and that no sandbox can write yet; for
   * a bind workspace the bound directory itself.
   */
  readonly directory?: string;
  /** `sandbox:creating` only. */
  readonly plan?: SandboxPlan;
  /** `egress:changing` only: what the task's network is to become; the task has it as it is. */
  readonly network?: NetworkSpec;
  /** `execution:starting` only: the command as recorded. */
  readonly command?: string;
}

/** What one hook did, recorded with the change that it belongs to. */
export interface HookOutcome {
  readonly hook: string;
  readonly point: HookPoint;
  readonly result: 'passed' | 'rejected' | 'failed';
  /** What it changed or why it refused, in one line. */
  readonly message: string;
  readonly durationMs: number;
}

/** Runs the hooks of a point. Never called inside a transaction. */
export interface HookPort {
  /**
   * Runs every hook of the point in order and stops at the first that rejects. A hook that throws something else or outlasts
   * its time limit counts as a rejection too (it fails closed) unless it is registered as advisory.
   *
   * @returns the outcomes; the caller refuses the change when one is `rejected` or `failed`
   */
  run(context: HookContext): Promise<readonly HookOutcome[]>;
  /** True when any hook listens at the point. */
  listens(point: HookPoint): boolean;
}
