import type { Checkpoint } from '../domain/checkpoint.ts';
import type { TaskId } from '../domain/ids.ts';
import type { AgentWork } from '../policy/agent-work.ts';
import type { AppliedWork, CommittedWork, MergedWork, WorkReview } from '../ports/work-port.ts';
import type { Call, UnderSession } from './call.ts';
import type { RecoveredOperation } from './session-contract.ts';

export interface ReviewOptions extends UnderSession {
  /** Full id, short id, tag or name of a checkpoint to look at; by default one is taken now. */
  readonly checkpoint?: string;
}

export interface ApplyOptions extends ReviewOptions {
  /** Absolute path of a directory of the host; by default the one that the workspace was seeded from. */
  readonly directory?: string;
  /** Paths with tripwires that may be applied all the same, relative to the workspace. */
  readonly accept?: readonly string[];
  /** True merges what both sides changed in one file, where no two changes touch. See `ApplyWork.threeWay`. Default false. */
  readonly threeWay?: boolean;
  /** True says what would happen and changes nothing. */
  readonly dryRun?: boolean;
}

export interface MergeOptions extends UnderSession {
  /** Branch, tag or commit in the task; by default `HEAD` and, as a last commit, what is not committed and not ignored. */
  readonly ref?: string;
  /** Branch to make or to move forward; default `opencode-tools/<short id>`. */
  readonly branch?: string;
  /** Branch that exists and that the work is merged into, in place of `branch`. */
  readonly into?: string;
  /** Paths with tripwires that may come all the same. */
  readonly accept?: readonly string[];
  /** True says what would happen: no branch and no file of the user changes. */
  readonly dryRun?: boolean;
}

export interface CommitOptions extends UnderSession {
  /** What the commit says; of one line or more. */
  readonly message: string;
  /** `Name <address>`; by default who the user's configuration of git says. */
  readonly author?: string;
  /**
   * Files and directories that alone are committed, as they are named: no pattern. Relative to the workspace; all by default. What is staged
   * elsewhere stays staged.
   */
  readonly paths?: readonly string[];
  /** Paths with tripwires that may be committed all the same, relative to the top of the work tree. */
  readonly accept?: readonly string[];
  /** True says what would be committed and changes nothing. */
  readonly dryRun?: boolean;
}

export interface TaskWorkMerged extends MergedWork {
  readonly repository: string;
}

export interface ReviewedWork extends WorkReview {
  readonly checkpoint: Checkpoint;
}

export interface TaskWorkApplied extends AppliedWork {
  readonly checkpoint: Checkpoint;
  readonly directory: string;
}

/** Brings the work of a task to where the user keeps it: the directory that a volume workspace came from, the repository of a bind workspace. */
export interface WorkService {
  /**
   * For front ends that agents call: refuses what the user does not let agents do by themselves. They accept no tripwire either.
   *
   * @throws OpencodeToolsError `OCT_POLICY_DENIED`
   */
  assertAgentMay(work: AgentWork): void;
  /**
   * Undoes what a process that is gone left half way in a directory of the user, or records it when all of it was done: of any task of
   * this home, whoever holds it, with or without an engine. Opening a home does so. Cheap when there is nothing to do.
   */
  settle(call: Call): Promise<readonly RecoveredOperation[]>;
  /** What the task changed since its workspace was seeded, and which of it would run on the host or steer who works there. */
  review(taskId: TaskId, options: ReviewOptions, call: Call): Promise<ReviewedWork>;
  /**
   * Applies the changes to a directory, all of them or none, as one operation: none when the user changed one of the same paths
   * otherwise, and none while a tripwire is not accepted. Paths that the task did not change are not touched, whatever their
   * state. One that is killed half way is undone by whoever next opens the home.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for a bind workspace, which the user sees already, or without a directory
   */
  apply(taskId: TaskId, options: ApplyOptions, call: Call): Promise<TaskWorkApplied>;
  /**
   * Brings the commits of a task to a branch of the repository that its workspace was seeded from, as one operation. The image has to
   * have git. A work tree that has the branch checked out goes along, and nothing happens when uncommitted changes are in its way.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for a workspace from elsewhere, in the middle of a merge, without anything new, or with
   *   submodules; `OCT_CAPABILITY_UNSUPPORTED` without git in the image
   */
  merge(taskId: TaskId, options: MergeOptions, call: Call): Promise<TaskWorkMerged>;
  /**
   * Commits what changed in a bind workspace to the branch that is checked out there, as one operation: the sandbox cannot write its
   * `.git`. Takes what `git add --all` would in that directory; the sandbox need not run. See `WorkPort.commit`.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for a volume workspace, outside of a work tree, in the middle of a merge or the like,
   *   without an author, and when nothing changed
   */
  commit(taskId: TaskId, options: CommitOptions, call: Call): Promise<CommittedWork>;
}
