import type { OperationId, TaskId } from './ids.ts';
import type { Timestamp } from './task.ts';

export const sandboxStates = ['absent', 'creating', 'running', 'paused', 'stopped', 'failed'] as const;
export type SandboxState = (typeof sandboxStates)[number];

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
  readonly createdAt: Timestamp;
  readonly updatedAt: Timestamp;
}
