import type { JsonObject } from './json.ts';
import type { LeaseProof } from './session.ts';
import type { OperationId, TaskId } from './ids.ts';
import type { Timestamp } from './task.ts';

/** The noun whose records an operation writes: `<kind>.requested`, then `.completed`, `.failed` or `.interrupted`. */
export const operationKinds = [
  'sandbox',
  'execution',
  'file',
  'checkpoint',
  'restore',
  'deletion',
  'egress',
  'work',
] as const;
export type OperationKind = (typeof operationKinds)[number];

export const operationStates = ['open', 'completed', 'failed', 'interrupted'] as const;
export type OperationState = (typeof operationStates)[number];

/** A process, named so that a reused pid or a reboot is never mistaken for it. */
export interface ProcessRef {
  readonly hostId: string;
  readonly bootId: string;
  readonly pid: number;
  /** Start time of the process in the kernel's own unit. */
  readonly startedAt: string;
}

/**
 * Work that touches engine, git or network: requested in one transaction, done idempotently under its id, finished in
 * another. An open operation whose owner is gone is resolved from facts by recovery.
 */
export interface Operation {
  readonly id: OperationId;
  readonly kind: OperationKind;
  readonly taskId: TaskId;
  readonly state: OperationState;
  /** Whatever recovery needs to find the effect. */
  readonly intent: JsonObject;
  readonly outcome: JsonObject | null;
  readonly owner: ProcessRef;
  readonly proof: LeaseProof | null;
  readonly startedAt: Timestamp;
  readonly endedAt: Timestamp | null;
}

/** False for another process that has the same id on another host, after a reboot, or later. */
export function isSameProcess(one: ProcessRef, other: ProcessRef): boolean {
  return (['hostId', 'bootId', 'pid', 'startedAt'] as const).every((part) => one[part] === other[part]);
}
