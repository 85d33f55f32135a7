import type { Checkpoint } from '../domain/checkpoint.ts';
import type { CheckpointId, TaskId } from '../domain/ids.ts';
import type { ByteStream } from '../ports/volume-port.ts';
import type { Collected, TreeDifference } from '../ports/workspace-store.ts';
import type { Call, UnderSession } from './call.ts';
import type { Outworn, RetentionPolicy } from './retention.ts';

export interface CreateCheckpoint extends UnderSession {
  readonly name?: string;
  readonly reason?: string;
  /**
   * True takes none when nothing changed since the newest one, and gives that: the call to make before whatever may do harm. Telling takes as
   * long as taking one.
   */
  readonly ifChanged?: boolean;
}

/** A checkpoint that was just taken. */
export interface NewCheckpoint extends Checkpoint {
  /** What of the task is not in it, each in one sentence; absent for nothing. */
  readonly notices?: readonly string[];
  /** It was there before: nothing changed since. */
  readonly unchanged?: true;
}

export interface Restoration {
  /** The checkpoint that the task is at now. */
  readonly checkpoint: Checkpoint;
  /** The state before, saved first; null when there was nothing that is not in a checkpoint. */
  readonly saved: Checkpoint | null;
  /** Executions that the restore ended. */
  readonly endedProcesses: number;
  /** What of the present was not saved, and what of the checkpoint was not brought back, each in one sentence; absent for nothing. */
  readonly notices?: readonly string[];
}

/** What differs between two checkpoints of a task. */
export interface CheckpointComparison {
  readonly from: Checkpoint;
  readonly to: Checkpoint;
  /** Sorted by path, relative to the workspace and to the home directory. */
  readonly workspace: readonly TreeDifference[];
  readonly home: readonly TreeDifference[];
  /** True when they hold different images of the root file system, which are not compared file by file. */
  readonly rootDiffers: boolean;
}

/** One thing that is not as the checkpoint says. */
export interface CheckpointDamage {
  readonly part: 'record' | 'workspace' | 'home' | 'root';
  /** Id of the checkpoint, snapshot or image that is damaged. */
  readonly object: string;
  /** What is wrong, with the path or layer where it is. */
  readonly message: string;
}

export interface CheckpointHealth {
  readonly checkpoint: Checkpoint;
  /** At most one per part; empty when all is sound. */
  readonly damage: readonly CheckpointDamage[];
}

/** A checkpoint that was deleted, or would be. */
export interface CheckpointDeletion {
  readonly dryRun: boolean;
  readonly checkpoint: Checkpoint;
}

/** What a checkpoint takes on disk in the home. Images of root file systems are the engine's, and not counted. */
export interface CheckpointUsage {
  readonly checkpoint: Checkpoint;
  readonly bytes: number;
  /** What nothing else in the home needs: free again when it is deleted. */
  readonly ownBytes: number;
  /** What other checkpoints, or trees that tasks begin with, need as well. */
  readonly sharedBytes: number;
}

/** What checkpoints take on disk in a home, by task. Images are not counted. */
export interface HomeCheckpointUsage {
  /** The one whose deletion would free most first. */
  readonly tasks: readonly {
    readonly taskId: TaskId;
    readonly title: string;
    /** True for one whose checkpoints are all that is left. */
    readonly deleted: boolean;
    readonly checkpoints: number;
    readonly bytes: number;
    /** What neither another task's checkpoints nor a tree that a task begins with needs. */
    readonly ownBytes: number;
  }[];
  /** Of all together, what several share counted once. */
  readonly bytes: number;
  /** What retention keeps them to; 0 for any number. */
  readonly budgetBytes: number;
}

export interface PrunedCheckpoints {
  readonly dryRun: boolean;
  /** Oldest first within a task. */
  readonly removed: readonly Outworn[];
  /** Those that something began to need meanwhile. */
  readonly left: readonly { readonly checkpoint: Checkpoint; readonly reason: string }[];
  /** What was collected afterwards; null in a dry run. */
  readonly collected: Collected | null;
}

/** A checkpoint on its way out. */
export interface CheckpointExport {
  readonly checkpoint: Checkpoint;
  /** A tar: `checkpoint.json`, then `workspace`, `home` and `root` with all below them. Read it once. */
  readonly stream: ByteStream;
  /**
   * What becomes of a root file system that something was installed into: it is in the stream, or it was left out. `unchanged` when the
   * image of the task has it all.
   */
  readonly root: 'included' | 'left-out' | 'unchanged';
  /** What of the checkpoint is not in the stream, each in one sentence; absent for nothing. */
  readonly notices?: readonly string[];
}

export interface ImportCheckpoint extends UnderSession {
  /** In place of the exported one. */
  readonly name?: string;
  /**
   * True takes a root file system in as well, as an image of this engine: its programs then run in the sandbox as those of any image do.
   * Default false, for the stream may be a stranger's.
   */
  readonly root?: boolean;
}

/** What was made of an exported checkpoint. */
export interface ImportedCheckpoint {
  readonly checkpoint: Checkpoint;
  /** True when the stream had a root file system, and nobody asked for it. */
  readonly rootLeftOut: boolean;
}

export interface CheckpointService {
  create(taskId: TaskId, options: CreateCheckpoint, call: Call): Promise<NewCheckpoint>;
  /** Saves the present, then brings workspace, home directory and root file system back. Ends executions. */
  restore(taskId: TaskId, reference: string, options: UnderSession, call: Call): Promise<Restoration>;
  /**
   * Deletes a checkpoint, of a deleted task too: by name even the one that `recover` would bring back. Its record stays in the ledger; what only it needed is collected later.
   *
   * @throws OpencodeToolsError `OCT_POLICY_DENIED` for one that is tagged, pinned, or what a task comes back from, with the way out;
   *   `OCT_VERSION_CONFLICT` while an operation that may begin from it is open
   */
  delete(
    taskId: TaskId,
    reference: string,
    options: UnderSession & { readonly dryRun?: boolean },
    call: Call,
  ): Promise<CheckpointDeletion>;
  /**
   * Gives a checkpoint a further name, which keeps it: 1 to 60 letters, digits, dots, underscores and dashes.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for a tag of another form, or one that leads to another checkpoint of the task
   */
  tag(taskId: TaskId, reference: string, tag: string, options: UnderSession, call: Call): Promise<Checkpoint>;
  /** Takes a tag away from the checkpoint that has it. */
  untag(taskId: TaskId, tag: string, options: UnderSession, call: Call): Promise<Checkpoint>;
  /** Keeps a checkpoint until it is unpinned. */
  pin(taskId: TaskId, reference: string, pinned: boolean, options: UnderSession, call: Call): Promise<Checkpoint>;
  /**
   * Opens a checkpoint as one stream, for another home, machine or kind of workspace. Every byte is checked on the way. A changed root file
   * system is a whole image in it.
   *
   * @param options `root` false leaves it out
   * @throws OpencodeToolsError `OCT_CHECKPOINT_NOT_FOUND`, `OCT_CHECKPOINT_CORRUPT`; `OCT_IMAGE_NOT_FOUND` when the engine lost the image
   */
  export(
    taskId: TaskId,
    reference: string,
    options: { readonly root?: boolean },
    call: Call,
  ): Promise<CheckpointExport>;
  /**
   * Makes a checkpoint of a task from what `export` gave, all of it or nothing; restore it to bring it into the workspace. Files of
   * the exported task's user become files of this task's; the spec is this task's.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for a stream that is cut off, damaged or hostile, `OCT_PATH_OUTSIDE_WORKSPACE`,
   *   `OCT_SCHEMA_TOO_NEW`; `OCT_CAPABILITY_UNSUPPORTED` for a root file system of another architecture
   */
  import(taskId: TaskId, stream: ByteStream, options: ImportCheckpoint, call: Call): Promise<ImportedCheckpoint>;
  /** What each checkpoint of a task takes on disk, newest first. */
  usage(taskId: TaskId): Promise<readonly CheckpointUsage[]>;
  /** What the checkpoints of each task of this home take on disk, deleted tasks included, and all together. */
  homeUsage(): Promise<HomeCheckpointUsage>;
  /**
   * Applies the retention policy of the configuration, or what is given in its place, to one task or to all of this home, deleted
   * ones included, then collects what nothing needs any more.
   *
   * @param taskId all tasks when it is undefined
   */
  prune(
    taskId: TaskId | undefined,
    options: { readonly dryRun: boolean; readonly policy?: Partial<RetentionPolicy> },
    call: Call,
  ): Promise<PrunedCheckpoints>;
  list(taskId: TaskId): Promise<readonly Checkpoint[]>;
  get(taskId: TaskId, reference: string): Promise<Checkpoint>;
  /**
   * Compares two checkpoints of a task file by file; checkpoints of deleted tasks, too.
   *
   * @throws OpencodeToolsError `OCT_CHECKPOINT_NOT_FOUND`, `OCT_CHECKPOINT_CORRUPT`
   */
  compare(taskId: TaskId, from: string, to: string): Promise<CheckpointComparison>;
  /**
   * Reads every byte of one checkpoint, or of all of a task, and says what is damaged. What several share is read once.
   *
   * @param reference all when it is undefined
   * @param options `onProgress` is told which of them is being read; `signal` ends it between two
   * @throws OpencodeToolsError `OCT_CHECKPOINT_NOT_FOUND` for a reference that leads nowhere
   */
  check(
    taskId: TaskId,
    reference?: string,
    options?: Pick<Call, 'signal' | 'onProgress'>,
  ): Promise<readonly CheckpointHealth[]>;
  /** Reads every byte. @throws OpencodeToolsError `OCT_CHECKPOINT_CORRUPT` */
  verify(id: CheckpointId): Promise<Checkpoint>;
}
