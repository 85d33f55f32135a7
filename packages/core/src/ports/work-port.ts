import type { OperationId } from '../domain/ids.ts';
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
  /** The snapshot that was applied to the directory last: what it left there is the task's as much as what it started from. Default null. */
  readonly lastId?: string | null;
  /** Paths with tripwires that may be applied all the same. */
  readonly accept: readonly string[];
  /**
   * True merges regular files that were changed in the directory as well, line by line, where no two changes touch; symbolic
   * links, executable bits, binary files and what was removed are never merged.
   */
  readonly threeWay: boolean;
  /** What the change is known by until it is forgotten; null for a dry run. */
  readonly operationId: OperationId | null;
  /** Asked last of all, before anything of the user's changes; what it throws is thrown, and nothing has changed. */
  readonly confirm?: () => Promise<void>;
  readonly signal?: AbortSignal;
}

export interface AppliedWork extends WorkReview {
  /** False when conflicts or tripwires were in the way, or in a dry run: then nothing was changed. */
  readonly applied: boolean;
  /** Paths that were, or would be, changed in the directory. */
  readonly changed: readonly string[];
  /** Those among them that had changes of the user's own, which are still in them. */
  readonly merged: readonly string[];
  /** Paths that are in the directory already as the task left them. */
  readonly present: readonly string[];
  /** Paths that the user changed since they were applied last, and the task did not: they stay so. */
  readonly kept: readonly string[];
  /** Paths that the directory has otherwise than the task started from and left them: the user's own changes. */
  readonly conflicts: readonly { readonly path: string; readonly reason: string }[];
  /** Tripwires that were not accepted, of what is not there already. */
  readonly refused: readonly Tripwire[];
}

export interface MergeWork {
  /** A directory in the user's repository. */
  readonly repository: string;
  /** Commit that the workspace was seeded with. */
  readonly base: string;
  /** Branch without `refs/heads/`. */
  readonly branch: string;
  /** True for a branch that exists, and that the work is merged into; false for one that is made, or only goes forward. */
  readonly into: boolean;
  readonly accept: readonly string[];
  /** First line of a commit that merges. */
  readonly message: string;
  /** Whose bundle it is, see `receive`. */
  readonly operationId: OperationId;
  readonly dryRun: boolean;
  /** As of `ApplyWork`: asked right before the branch moves, with the work tree that goes along. */
  readonly confirm?: (workTree: string | null) => Promise<void>;
  readonly signal?: AbortSignal;
}

export interface MergedWork extends WorkReview {
  /** False when something was in the way, or in a dry run: then no branch and no file was changed. */
  readonly merged: boolean;
  /** What happened, or would: `present` when the branch has the work already. */
  readonly how: 'created' | 'forwarded' | 'merged' | 'present';
  readonly branch: string;
  /** Where the branch is then; null when that cannot be said for conflicts. */
  readonly commit: string | null;
  /** How many commits of the task the branch did not have. */
  readonly commits: number;
  /** Work tree that has the branch checked out and goes along; null when none has. */
  readonly workTree: string | null;
  readonly conflicts: readonly { readonly path: string; readonly reason: string }[];
  /** Tripwires that were not accepted. */
  readonly refused: readonly Tripwire[];
}

export interface CommitWork {
  /** A directory of the user in a work tree; what changed in it is committed, and nothing beside it. */
  readonly directory: string;
  /** Files and directories in it, relative to it, that alone are committed; all by default. */
  readonly paths?: readonly string[];
  readonly message: string;
  /** `Name <address>`; null for who the user's configuration of git says. */
  readonly author: string | null;
  readonly accept: readonly string[];
  readonly operationId: OperationId;
  readonly dryRun: boolean;
  /** As of `ApplyWork`: asked right before the branch moves, with the work tree that goes along. */
  readonly confirm?: (workTree: string | null) => Promise<void>;
  readonly signal?: AbortSignal;
}

export interface CommittedWork extends WorkReview {
  /** False when something was in the way, or in a dry run: then neither branch nor index was changed. */
  readonly committed: boolean;
  /** Top of the work tree. */
  readonly repository: string;
  /** Null for a detached commit. */
  readonly branch: string | null;
  /** What was, or would be, made; null when nothing differs from the last commit, or when that cannot be said for conflicts. */
  readonly commit: string | null;
  readonly conflicts: readonly { readonly path: string; readonly reason: string }[];
  /** Repositories below the directory that have no tracked file, and what is neither file nor link: they are not committed. */
  readonly leftOut: readonly string[];
  /** Tripwires that were not accepted. */
  readonly refused: readonly Tripwire[];
}

/** Takes the bytes of a bundle in order; a piece may come before the one ahead of it is written. */
export interface BundleSink {
  /** @throws OpencodeToolsError `OCT_RESOURCE_LIMIT` past 4 GiB */
  write(chunk: Uint8Array): Promise<void>;
  /** Waits for what is being written. */
  close(): Promise<void>;
}

/** What became of a change that broke off. */
export interface SettledWork {
  /** `none`: the directory was not touched; `undone`: it is as before; `finished`: it has all of the work. */
  readonly outcome: 'none' | 'undone' | 'finished';
  /** Paths that somebody changed since it broke off; they are as that left them. */
  readonly left: readonly string[];
  /** Directory with what stood at those paths before, under numbers; null when there is nothing to keep. */
  readonly saved: string | null;
}

/**
 * Brings work out of frozen trees into directories of the user. No program of the host opens what a sandbox wrote: contents are
 * compared and copied as bytes. Git is asked for one thing only, to merge the lines of copies elsewhere, when the caller wants that.
 */
export interface WorkPort {
  review(fromId: string | null, toId: string): Promise<WorkReview>;
  /**
   * The real path of a directory that work may be applied to.
   *
   * @throws OpencodeToolsError `OCT_POLICY_DENIED` for what no sandbox may write (see `forbiddenHostPath`), and for a repository's own
   *   directory and what is in it; `OCT_INVALID_ARGUMENT` for what is no directory
   */
  target(directory: string): Promise<string>;
  /**
   * Changes the directory whole or not at all. A failure half way is undone; after a crash at any point `settle` makes it whole.
   * Nothing is written through a symbolic link, and nothing into a `.git`.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` while another change of the same directory is under way or broke off; as `target`
   */
  apply(work: ApplyWork): Promise<AppliedWork>;
  /** The commit that a branch of the user's repository is at; null when there is none. */
  branchTip(repository: string, branch: string): Promise<string | null>;
  /** Opens a file for the bundle that a sandbox gives of its commits; it goes when the operation is forgotten. */
  receive(operationId: OperationId): Promise<BundleSink>;
  /**
   * Brings the commits of a received bundle to a branch of the user's repository. They are checked in a repository of ours first.
   * The branch moves by compare-and-set, and a work tree that has it checked out goes along or nothing happens at all. No hook and
   * no filter of the user runs.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for commits that git finds unsound, for submodules in them, and for a branch that
   *   cannot be; `OCT_CAPABILITY_UNSUPPORTED` where git is older than 2.38 and has to merge; `OCT_VERSION_CONFLICT` when the branch moves meanwhile;
   *   `OCT_POLICY_DENIED` for a repository that a sandbox could have written
   */
  merge(work: MergeWork): Promise<MergedWork>;
  /**
   * Commits what changed in a directory of a work tree whose `.git` no sandbox can write: all that `git add --all` would take, on the
   * branch that is checked out. Files are read by ourselves, and git sees copies of them in a repository of ours. No hook and no filter
   * runs; a changed file that has a filter is a conflict. The index then has what was committed.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` outside of a work tree, in the middle of a merge or the like, without an author, and for a
   *   path with nothing to commit; `OCT_PATH_OUTSIDE_WORKSPACE` for one that leads out of the directory;
   *   `OCT_RESOURCE_LIMIT` when what changed has more than 4 GiB; `OCT_POLICY_DENIED` for a repository that a sandbox could have written;
   *   `OCT_VERSION_CONFLICT` when the user's git moves the branch or has the index meanwhile
   */
  commit(work: CommitWork): Promise<CommittedWork>;
  /** Undoes what an operation had begun, or finishes what it had done but for tidying up. Repeating it changes nothing. */
  settle(operationId: OperationId): Promise<SettledWork>;
  /** Removes what is known of a change, once it is recorded how it ended. */
  forget(operationId: OperationId): Promise<void>;
  /** Operations that something is known of. */
  known(): Promise<readonly OperationId[]>;
}
