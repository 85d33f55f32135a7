import path from 'node:path';
import { type CheckpointId, type ExecutionId, type OutputStream, type TaskId, parseId } from '@opencode-tools/core';

/** Where the files of one task lie. Ids are checked, so that no path leaves the directory. */
export class TaskPaths {
  /** Relative to the home directory. */
  readonly relative: string;
  readonly directory: string;

  constructor(homeDirectory: string, taskId: TaskId) {
    this.relative = `tasks/${parseId('task', taskId)}`;
    this.directory = path.join(homeDirectory, 'tasks', taskId);
  }

  file(name: string): string {
    return path.join(this.directory, name);
  }

  get state(): string {
    return this.file('state.json');
  }

  get decisions(): string {
    return this.file('decisions.md');
  }

  manifest(id: CheckpointId): string {
    return path.join(this.checkpointDirectory(id), 'manifest.json');
  }

  checkpointDirectory(id: CheckpointId): string {
    return path.join(this.directory, 'checkpoints', parseId('checkpoint', id));
  }

  executionDirectory(id: ExecutionId): string {
    return path.join(this.directory, 'executions', parseId('execution', id));
  }

  output(id: ExecutionId, stream: OutputStream): string {
    return path.join(this.executionDirectory(id), stream);
  }
}
