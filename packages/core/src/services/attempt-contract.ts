import type { Checkpoint } from '../domain/checkpoint.ts';
import type { Execution } from '../domain/execution.ts';
import type { Receipt, Task } from '../domain/task.ts';
import type { TaskId } from '../domain/ids.ts';
import type { ErrorJson } from '../errors/opencode-tools-error.ts';
import type { Command } from '../domain/execution.ts';
import type { Call } from './call.ts';

/** What a fork changed in its workspace since it was made. */
export interface AttemptChanges {
  readonly added: number;
  readonly modified: number;
  readonly deleted: number;
  /** Bytes of the files that were added or modified, as they are now. */
  readonly bytes: number;
}

/** What one check said of one fork. */
export interface AttemptCheck {
  readonly task: Task;
  /** The state that was checked. Null when the fork could not be checked, and so are the other two. */
  readonly checkpoint: Checkpoint | null;
  readonly changes: AttemptChanges | null;
  /** With exit code and time. */
  readonly execution: Execution | null;
  /** Why the fork could not be checked; null when it was. */
  readonly failure: ErrorJson | null;
}

export interface KeptAttempt {
  readonly dryRun: boolean;
  readonly kept: Task;
  /** The kept state as a checkpoint of the first task, to be restored there; null in a dry run. */
  readonly checkpoint: Checkpoint | null;
  /** The other forks; their last checkpoints and ledgers stay. */
  readonly archived: readonly { readonly task: Task; readonly receipt: Receipt | null }[];
}

/**
 * Several ways from one point: forks of a task that `start` made, checked by one command, of which one is kept. Other forks of the
 * task are left alone.
 */
export interface AttemptService {
  /**
   * Makes forks of a task that begin at the same checkpoint.
   *
   * @param options `count` 1 to 50; `checkpoint` is the newest by default, and taken when there is none; titles get a number
   */
  start(
    taskId: TaskId,
    options: { readonly count: number; readonly checkpoint?: string; readonly title?: string },
    call: Call,
  ): Promise<readonly Task[]>;
  /** The attempts of a task that were neither kept nor deleted, oldest first. */
  list(taskId: TaskId): Promise<readonly Task[]>;
  /**
   * Saves every attempt of a task, counts what it changed, and runs the same command in each, a few at a time.
   *
   * @returns the best first: those that passed, then the smaller change, then the shorter time
   */
  check(
    taskId: TaskId,
    options: { readonly command: Command; readonly timeoutMs?: number },
    call: Call,
  ): Promise<readonly AttemptCheck[]>;
  /**
   * Gives the first task the state of one attempt as a checkpoint, and deletes the others after a last checkpoint of each. The
   * kept one goes on as a task.
   *
   * Decides nothing while an agent holds one of the others; nor does a dry run say then that they would go. Of one that an agent attaches
   * to later the deletion is refused, and finished by asking again.
   *
   * @param reference full id, short id or title of a fork
   * @throws OpencodeToolsError `OCT_LEASE_HELD` naming the agents
   */
  keep(taskId: TaskId, reference: string, options: { readonly dryRun?: boolean }, call: Call): Promise<KeptAttempt>;
}
