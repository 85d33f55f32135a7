import type { SnapshotRef } from '../domain/checkpoint.ts';
import type { WorkspaceSource } from '../domain/workspace-spec.ts';

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

/**
 * Frozen trees and the live ones made from them. A snapshot never changes; the same tree has the same id. Everything is
 * whole or absent after a crash at any point.
 */
export interface WorkspaceStore {
  /**
   * Checks that a directory of the host may be a bind workspace and returns its real path.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` when it is missing, no directory, not readable, or a place that must not
   *   be shared (`/`, `/etc`, a home directory itself, the home of opencode-tools)
   */
  checkDirectory(path: string): Promise<string>;
  /** Reads a source repository or directory of the host and freezes it. Never changes the source. */
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
}
