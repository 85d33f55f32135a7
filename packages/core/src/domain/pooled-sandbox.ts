import type { OperationId, TaskId } from './ids.ts';
import type { ProcessRef } from './operation.ts';
import type { Timestamp } from './task.ts';

/**
 * `filling`: its parts are being made. `ready`: runs or is paused, empty, and takes no command. `claimed`: belongs to a task, for good.
 * `leaving`: its parts are being removed.
 */
export const pooledStates = ['filling', 'ready', 'claimed', 'leaving'] as const;
export interface PooledSandbox {
  /** Also the operation that the labels of its container and volumes name. */
  readonly id: OperationId;
  /** Says what it was made for; a sandbox of a plan with the same key can be taken as it is. */
  readonly key: string;
  readonly state: (typeof pooledStates)[number];
  /** Raised by one with every change; two who change the same version cannot both succeed. */
  readonly version: number;
  /** The process that has its lane open. */
  readonly owner: ProcessRef;
  readonly name: string;
  readonly ref: string | null;
  readonly imageId: string;
  readonly workspaceVolume: string;
  readonly homeVolume: string;
  /** Whose it is once it is claimed: labels cannot say it, they are fixed when a container is made. */
  readonly claim: { readonly taskId: TaskId; readonly operationId: OperationId } | null;
  readonly createdAt: Timestamp;
}
