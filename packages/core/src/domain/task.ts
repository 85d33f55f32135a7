import type { CheckpointId, HomeId, TaskId } from './ids.ts';
import type { LimitRequest, SandboxSpec } from './sandbox-spec.ts';
import type { WorkspaceSpec } from './workspace-spec.ts';

export const taskStatuses = ['pending', 'running', 'suspended', 'failed', 'completed', 'cancelled'] as const;
export type TaskStatus = (typeof taskStatuses)[number];

export const leaseModes = ['exclusive', 'collaborative'] as const;
export type LeaseMode = (typeof leaseModes)[number];

export const conflictStrategies = ['reject', 'merge', 'last-write-wins'] as const;
export type ConflictStrategy = (typeof conflictStrategies)[number];

/** ISO 8601 in UTC with milliseconds: `2026-11-20T08:15:30.123Z`. Sorts as text. */
export type Timestamp = string;

/** One piece of work: it outlives every sandbox, session and process that serves it. */
export interface Task {
  readonly id: TaskId;
  /** 1 to 200 characters, one line. */
  readonly title: string;
  /** Up to 20,000 characters. */
  readonly description: string;
  readonly status: TaskStatus;
  /** Why the status is what it is, for people; null when it needs no words. */
  readonly statusReason: string | null;
  readonly leaseMode: LeaseMode;
  /** Most agents attached at once in collaborative mode; 1 in exclusive mode. */
  readonly maxAgents: number;
  readonly conflictStrategy: ConflictStrategy;
  readonly workspace: WorkspaceSpec;
  readonly sandboxSpec: SandboxSpec;
  readonly labels: Readonly<Record<string, string>>;
  readonly owner: string | null;
  readonly project: string | null;
  readonly parentId: TaskId | null;
  readonly dependsOn: readonly TaskId[];
  /** The checkpoint that this task was forked from. */
  readonly forkedFrom: { readonly taskId: TaskId; readonly checkpointId: CheckpointId } | null;
  /** Higher limits that were asked for and not answered yet. */
  readonly limitRequest?: LimitRequest | null;
  /** The newest checkpoint in this task's line: the parent of the next one. */
  readonly headCheckpointId: CheckpointId | null;
  /** The home that has the sandbox, the layers and the files. */
  readonly homeId: HomeId;
  /** Raised by one with every change of this row; 1 when created. */
  readonly version: number;
  readonly createdAt: Timestamp;
  readonly updatedAt: Timestamp;
  readonly startedAt: Timestamp | null;
  readonly endedAt: Timestamp | null;
}

/** What is left of a deleted task: enough to answer for it and to find what was saved. */
export interface Receipt {
  readonly taskId: TaskId;
  readonly title: string;
  readonly deletedAt: Timestamp;
  /** The final checkpoint, or null when nothing existed that was not in one already. */
  readonly finalCheckpointId: CheckpointId | null;
  /** Where the task's record can still be read, relative to the home directory. */
  readonly memory: string;
  /** Engine objects that were removed. */
  readonly removed: { readonly containers: number; readonly volumes: number; readonly networks: number };
  /** Images that hold saved root file systems and were therefore kept. */
  readonly keptImages: readonly string[];
  /** What the engine had lost before, so that it could not be saved, each in one sentence; absent for nothing. */
  readonly lost?: readonly string[];
}
