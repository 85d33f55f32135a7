import type { OperationId, TaskId } from './ids.ts';
import type { Timestamp } from './task.ts';

export const sandboxStates = ['absent', 'creating', 'running', 'paused', 'stopped', 'failed'] as const;
export type SandboxState = (typeof sandboxStates)[number];

export const pressureLevels = ['normal', 'warning', 'critical', 'emergency'] as const;
export type PressureLevel = (typeof pressureLevels)[number];

/** How near a sandbox is to one of its limits, as last acted upon. */
export interface Pressure {
  readonly level: PressureLevel;
  readonly resource: 'memory' | 'processes' | 'workspace';
  readonly used: number;
  readonly limit: number;
  readonly at: Timestamp;
}

/**
 * The registry's row about a task's sandbox. Containers come and go; this row says which one is current and what of
 * the task's work lives in it.
 */
export interface Sandbox {
  readonly taskId: TaskId;
  /** Counts the containers the task has had; part of every engine name, so that names are never reused. */
  readonly generation: number;
  readonly state: SandboxState;
  /** Name of the runtime that made it, such as `docker`. */
  readonly runtime: string;
  /** The engine's id of the container; null while there is none. */
  readonly ref: string | null;
  /** Content id of the image that the container was made from; a committed root file system after a restore. */
  readonly imageId: string;
  /** Engine volumes that hold the workspace (null for a bind workspace) and `/home/agent`. */
  readonly workspaceVolume: string | null;
  readonly homeVolume: string | null;
  /** The operation that made it. */
  readonly operationId: OperationId;
  /** Why commands are refused until somebody unpauses the sandbox or raises its limits; absent when they are not. */
  readonly hold?: string | null;
  /** Absent while nothing neared a limit. */
  readonly pressure?: Pressure | null;
  readonly createdAt: Timestamp;
  readonly updatedAt: Timestamp;
}
