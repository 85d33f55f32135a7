import type { Checkpoint } from '../domain/checkpoint.ts';
import type { TaskId } from '../domain/ids.ts';
import type { AppliedWork, WorkReview } from '../ports/work-port.ts';
import type { Call, UnderSession } from './call.ts';

export interface ReviewOptions extends UnderSession {
  /** Full id, short id or name of a checkpoint to look at; by default one is taken now. */
  readonly checkpoint?: string;
}

export interface ApplyOptions extends ReviewOptions {
  /** Absolute path of a directory of the host; by default the one that the workspace was seeded from. */
  readonly directory?: string;
  /** Paths with tripwires that may be applied all the same, relative to the workspace. */
  readonly accept?: readonly string[];
  /** True says what would happen and changes nothing. */
  readonly dryRun?: boolean;
}

export interface ReviewedWork extends WorkReview {
  readonly checkpoint: Checkpoint;
}

export interface TaskWorkApplied extends AppliedWork {
  readonly checkpoint: Checkpoint;
  readonly directory: string;
}

/** Brings the work of a volume workspace back to the directory of the user that it came from. */
export interface WorkService {
  /** What the task changed since its workspace was seeded, and which of it would run on the host or steer who works there. */
  review(taskId: TaskId, options: ReviewOptions, call: Call): Promise<ReviewedWork>;
  /**
   * Applies the changes to a directory, all of them or none: none when the user changed one of the same paths otherwise, and none
   * while a tripwire is not accepted. Paths that the task did not change are not touched, whatever their state.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for a bind workspace, which the user sees already, or without a directory
   */
  apply(taskId: TaskId, options: ApplyOptions, call: Call): Promise<TaskWorkApplied>;
}
