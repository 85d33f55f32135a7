import type { CheckpointId, OperationId, TaskId } from './ids.ts';
import type { SandboxSpec } from './sandbox-spec.ts';
import type { Timestamp } from './task.ts';

export const snapshotStores = ['content', 'overlay'] as const;
export type SnapshotStore = (typeof snapshotStores)[number];

/** A frozen tree: the same tree in the same store has the same id. */
export interface SnapshotRef {
  readonly store: SnapshotStore;
  readonly id: string;
  /** SHA-256 of the snapshot's own manifest (every path, mode, owner, time, link and content digest). */
  readonly digest: string;
  /** Entries of any kind, and the bytes of all regular files. */
  readonly entries: number;
  readonly bytes: number;
  /** Bytes that this snapshot added to the store. */
  readonly addedBytes: number;
}

/** The root file system: the image it came from, and the image that holds its changes when there were any. */
export interface RootRef {
  readonly baseImageId: string;
  readonly imageId: string;
  readonly changedPaths: number;
}

/**
 * A durable point of a task: workspace, home directory, root file system, spec and ledger position under one digest. It is
 * whole or does not exist.
 */
export interface Checkpoint {
  readonly id: CheckpointId;
  readonly taskId: TaskId;
  readonly parentId: CheckpointId | null;
  /** 1 to 100 characters. */
  readonly name: string;
  readonly reason: string;
  readonly agent: string;
  readonly operationId: OperationId;
  /** Null only when the task never had a workspace of its own. */
  readonly workspace: SnapshotRef | null;
  readonly home: SnapshotRef | null;
  readonly root: RootRef | null;
  readonly sandboxSpec: SandboxSpec;
  /** Head of the task's ledger when the checkpoint was requested. */
  readonly ledger: { readonly seq: number; readonly hash: string };
  /** SHA-256 over the canonical JSON of the fields above. */
  readonly manifestDigest: string;
  /** A pinned checkpoint is neither deleted nor thinned out. Not part of the digest, and neither are the tags. */
  readonly pinned: boolean;
  /** Names that lead to this checkpoint alone, within its task; it is kept as long as it has one. */
  readonly tags: readonly string[];
  readonly createdAt: Timestamp;
}

/** What is left of a checkpoint that was deleted, besides its records. */
export interface CheckpointRemoval {
  readonly id: CheckpointId;
  readonly taskId: TaskId;
}
