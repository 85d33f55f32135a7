import type { Checkpoint } from '../domain/checkpoint.ts';
import type { CheckpointId, TaskId } from '../domain/ids.ts';
import type { Call, UnderSession } from './call.ts';

export interface CreateCheckpoint extends UnderSession {
  readonly name?: string;
  readonly reason?: string;
}

export interface Restoration {
  /** The checkpoint that the task is at now. */
  readonly checkpoint: Checkpoint;
  /** The state before, saved first; null when there was nothing that is not in a checkpoint. */
  readonly saved: Checkpoint | null;
  /** Executions that the restore ended. */
  readonly endedProcesses: number;
}

export interface CheckpointService {
  create(taskId: TaskId, options: CreateCheckpoint, call: Call): Promise<Checkpoint>;
  /** Saves the present, then brings workspace, home directory and root file system back. Ends executions. */
  restore(taskId: TaskId, reference: string, options: UnderSession, call: Call): Promise<Restoration>;
  list(taskId: TaskId): Promise<readonly Checkpoint[]>;
  get(taskId: TaskId, reference: string): Promise<Checkpoint>;
  /** Reads every byte. @throws OpencodeToolsError `OCT_CHECKPOINT_CORRUPT` */
  verify(id: CheckpointId): Promise<Checkpoint>;
}
