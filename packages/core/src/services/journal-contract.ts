import type { CheckpointId, ExecutionId, NoteId, TaskId, TodoId } from '../domain/ids.ts';
import type { Decision, Note, Todo, TodoState } from '../domain/journal.ts';
import type { Call, UnderSession } from './call.ts';

export interface NewDecision extends UnderSession {
  readonly what: string;
  readonly why?: string;
  readonly alternatives?: readonly string[];
  readonly executionIds?: readonly ExecutionId[];
  readonly checkpointIds?: readonly CheckpointId[];
}

/** Decisions, todos and notes: what the next agent needs to know. */
export interface JournalService {
  decide(taskId: TaskId, decision: NewDecision, call: Call): Promise<Decision>;
  decisions(taskId: TaskId): Promise<readonly Decision[]>;
  addTodo(
    taskId: TaskId,
    todo: UnderSession & { readonly text: string; readonly major?: boolean },
    call: Call,
  ): Promise<Todo>;
  /**
   * Changes the named fields. Has the todo gone on since `expectedVersion`, the task's conflict strategy decides, and the conflict
   * is recorded.
   *
   * @throws OpencodeToolsError `OCT_VERSION_CONFLICT`
   */
  setTodo(
    taskId: TaskId,
    todoId: TodoId,
    change: UnderSession & {
      readonly state?: TodoState;
      readonly text?: string;
      readonly major?: boolean;
      readonly expectedVersion?: number;
    },
    call: Call,
  ): Promise<Todo>;
  todos(taskId: TaskId): Promise<readonly Todo[]>;
  addNote(taskId: TaskId, note: UnderSession & { readonly text: string }, call: Call): Promise<Note>;
  /** Replaces a note's text; as `setTodo` when it has gone on since `expectedVersion`. */
  setNote(
    taskId: TaskId,
    noteId: NoteId,
    change: UnderSession & { readonly text: string; readonly expectedVersion?: number },
    call: Call,
  ): Promise<Note>;
  notes(taskId: TaskId): Promise<readonly Note[]>;
}
