import type { Tripwire } from '../policy/tripwires.ts';
import type { TreeChange } from './workspace-store.ts';

/** What a task's work changes, compared with what it started from. `.git` at the top is the task's own and left out. */
export interface WorkReview {
  /** By content, kind, link target and executable bit; owners and times are no change. Sorted by path. */
  readonly changes: readonly TreeChange[];
  readonly tripwires: readonly Tripwire[];
}

export interface ApplyWork {
  /** Real path of a directory of the user. */
  readonly directory: string;
  /** Snapshot that the work started from; null for an empty workspace. */
  readonly fromId: string | null;
  readonly toId: string;
  /** Paths with tripwires that may be applied all the same. */
  readonly accept: readonly string[];
  readonly dryRun: boolean;
  readonly signal?: AbortSignal;
}

export interface AppliedWork extends WorkReview {
  /** False when conflicts or tripwires were in the way, or in a dry run: then nothing was changed. */
  readonly applied: boolean;
  /** Paths that were, or would be, changed in the directory. */
  readonly changed: readonly string[];
  /** Paths that are in the directory already as the task left them. */
  readonly present: readonly string[];
  /** Paths that the directory has otherwise than the task started from and left them: the user's own changes. */
  readonly conflicts: readonly { readonly path: string; readonly reason: string }[];
  /** Tripwires that were not accepted. */
  readonly refused: readonly Tripwire[];
}

/**
 * Brings work out of frozen trees into directories of the user. No program of the host opens what a sandbox wrote: contents are
 * compared and copied as bytes, and git is not asked.
 */
export interface WorkPort {
  review(fromId: string | null, toId: string): Promise<WorkReview>;
  /**
   * Changes the directory whole or not at all; a failure half way is undone. Nothing is written through a symbolic link, and
   * nothing into a `.git`.
   */
  apply(work: ApplyWork): Promise<AppliedWork>;
}
