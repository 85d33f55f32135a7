import type { Checkpoint } from '../domain/checkpoint.ts';
import type { CheckpointId, TaskId } from '../domain/ids.ts';

/** The checkpoints of one home. They are written by `TaskStore.commit`. */
export interface CheckpointCatalog {
  find(id: CheckpointId): Promise<Checkpoint | undefined>;
  /** Newest first. */
  list(taskId: TaskId): Promise<readonly Checkpoint[]>;
  /** Of every task of the home, deleted ones too. */
  listAll(): Promise<readonly Checkpoint[]>;
  /**
   * Finds the checkpoint a person means: a full id, a short id, a tag, or a name unique within the task.
   *
   * @throws OpencodeToolsError `OCT_CHECKPOINT_NOT_FOUND`, with the ids in remedy and `candidates` when it is the name or tag of several
   */
  resolve(taskId: TaskId, reference: string): Promise<Checkpoint>;
}
