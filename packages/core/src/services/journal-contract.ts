import type { CheckpointId, ExecutionId, NoteId, TaskId, TodoId } from '../domain/ids.ts';
import type { Decision, MemoryKind, Message, MessageRole, Note, Todo, TodoState } from '../domain/journal.ts';
import type { Timestamp } from '../domain/task.ts';
import type { Page, PageRequest } from '../ports/task-store.ts';
import type { Call, UnderSession } from './call.ts';

export interface NewDecision extends UnderSession {
  readonly what: string;
  readonly why?: string;
  readonly alternatives?: readonly string[];
  readonly executionIds?: readonly ExecutionId[];
  readonly checkpointIds?: readonly CheckpointId[];
}

export interface MemoryQuery {
  /** Words that all have to be there, in any order; each is found where a word starts with it. At most 16 count. */
  readonly text: string;
  /** What is looked through; all by default. */
  readonly kinds?: readonly MemoryKind[];
  /** 1 to 200; default 20. */
  readonly limit?: number;
}

/** Something in the memory of a task that has the words. */
export interface MemoryHit {
  readonly kind: MemoryKind;
  readonly id: string;
  /** When it was written; of a todo or note, when it was last changed. */
  readonly at: Timestamp;
  /** The agent, or the role of whoever said a message. */
  readonly by: string;
  /** One line of it, up to 240 characters around the first word. */
  readonly excerpt: string;
}

export interface FoundMemory {
  /** Newest first. */
  readonly hits: readonly MemoryHit[];
  /** Whether there are more than were asked for. */
  readonly more: boolean;
}

/** Decisions, todos, notes and conversations: what the next agent needs to know. */
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
  /** Keeps one turn of a conversation, 1 to 100,000 characters. */
  addMessage(
    taskId: TaskId,
    message: UnderSession & { readonly role: MessageRole; readonly text: string },
    call: Call,
  ): Promise<Message>;
  /** Newest first. */
  messages(taskId: TaskId, page?: PageRequest): Promise<Page<Message>>;
  /** Looks through decisions, todos, notes, messages and the commands that ran; of a deleted task, too. */
  search(taskId: TaskId, query: MemoryQuery): Promise<FoundMemory>;
}
