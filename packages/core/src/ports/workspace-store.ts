import type { SnapshotRef } from '../domain/checkpoint.ts';
import type { WorkspaceSource } from '../domain/workspace-spec.ts';
import type { LayerCapability, VolumeRecipe } from './layer-port.ts';

/** Where a live tree is: an engine volume, or a directory of the host. */
export type TreeRef =
  { readonly kind: 'volume'; readonly volume: string } | { readonly kind: 'directory'; readonly path: string };

export interface SeedRequest {
  readonly source: Exclude<WorkspaceSource, { readonly kind: 'empty' }>;
  /** Owner that every seeded file gets. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /**
   * Called with the directory that will be frozen, while nothing but us can write it; this is where hooks make a branch or
   * a plan file.
   */
  readonly prepare?: (directory: string) => Promise<void>;
  readonly signal?: AbortSignal;
}

export interface TreeChange {
  readonly path: string;
  readonly change: 'added' | 'modified' | 'deleted';
}

export interface ProvisionRequest {
  readonly volume: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly owner: { readonly uid: number; readonly gid: number };
  /** Null makes an empty volume. */
  readonly snapshotId: string | null;
  readonly signal?: AbortSignal;
}

/** A directory of the host that a sandbox may share. */
export interface ShareableDirectory {
  /** Its real path. */
  readonly path: string;
  /** Whom it belongs to; commands run as this user, so that what they make belongs to the same. */
  readonly owner: { readonly uid: number; readonly gid: number };
}

/** A path in a shared directory that is mounted over itself, so that it can neither be moved nor replaced. */
export interface GuardedPath {
  readonly path: string;
  /** False for directories that are only kept in their place, since something below them is read-only. */
  readonly readOnly: boolean;
}

/**
 * Frozen trees and the live ones made from them. A snapshot never changes; the same tree has the same id. Everything is
 * whole or absent after a crash at any point.
 */
export interface WorkspaceStore {
  /**
   * Checks that a directory of the host may be a bind workspace.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` when it is missing, no directory, not readable, or belongs to root;
   *   `OCT_POLICY_DENIED` for a place that must not be shared (see `forbiddenHostPath`)
   */
  checkDirectory(path: string): Promise<ShareableDirectory>;
  /**
   * Finds what of a bind workspace a sandbox must not change, since programs on the host obey it: `.git`, what git's
   * configuration includes, and `.opencode`. Makes an empty `.git`, which git ignores, where there is none.
   *
   * @returns existing paths, those that hold others first
   */
  guardDirectory(path: string): Promise<readonly GuardedPath[]>;
  /**
   * Reads a source repository or directory of the host and freezes it. Never changes the source.
   *
   * @throws OpencodeToolsError `OCT_POLICY_DENIED` for a place that sandboxes never see (see `forbiddenHostPath`)
   */
  seed(request: SeedRequest): Promise<SnapshotRef>;
  /** Freezes a live tree. The caller makes sure that nothing writes to it meanwhile. */
  freeze(tree: TreeRef, options?: { readonly signal?: AbortSignal }): Promise<SnapshotRef>;
  /** Makes a new volume with the content of a snapshot. Idempotent: a half-made volume of the name is made anew. */
  provision(request: ProvisionRequest): Promise<void>;
  /** Makes a directory of the host equal to a snapshot, writing only what differs. */
  restoreDirectory(
    directory: string,
    snapshotId: string,
    options?: { readonly signal?: AbortSignal },
  ): Promise<{ readonly written: number; readonly removed: number }>;
  diff(fromId: string, toId: string): Promise<readonly TreeChange[]>;
  /** Reads every byte of a snapshot. @throws OpencodeToolsError `OCT_CHECKPOINT_CORRUPT` naming the first bad path. */
  verify(snapshotId: string): Promise<SnapshotRef>;
  has(snapshotId: string): Promise<boolean>;
  /** Whether new volumes are stacks of layers, whose checkpoints cost what changed; else why they are not. */
  layering(): Promise<LayerCapability>;
  /**
   * Says how to ask the engine for an empty volume that can be frozen cheaply. What is reserved and not used is collected.
   *
   * @returns null for a volume without options
   */
  reserve(owner: { readonly uid: number; readonly gid: number }): Promise<VolumeRecipe | null>;
  /**
   * Removes frozen trees that nothing needs any more: neither the snapshots that are named, nor a volume of the engine, nor
   * work under way. What cannot be proven to be unneeded stays.
   *
   * @param keep gives the ids of the snapshots that checkpoints and tasks refer to; called after all else was looked at
   */
  collect(keep: () => Promise<ReadonlySet<string>>): Promise<Collected>;
  /** Waits for what goes on in the background. */
  settle(): Promise<void>;
}

export interface Collected {
  readonly snapshots: number;
  readonly layers: number;
  /** Bytes that the removed layers took on disk. */
  readonly bytes: number;
  /** Layers of which nothing is known; left alone. */
  readonly unknown: readonly string[];
}
