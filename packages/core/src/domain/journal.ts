import type { CheckpointId, DecisionId, ExecutionId, MessageId, NoteId, SessionId, TaskId, TodoId } from './ids.ts';
import type { Timestamp } from './task.ts';

/** What was decided, why, and what else was weighed; written for whoever comes next. */
export interface Decision {
  readonly id: DecisionId;
  readonly taskId: TaskId;
  readonly sessionId: SessionId | null;
  readonly agent: string;
  /** 1 to 500 characters. */
  readonly what: string;
  /** Up to 20,000 characters. */
  readonly why: string;
  readonly alternatives: readonly string[];
  readonly executionIds: readonly ExecutionId[];
  readonly checkpointIds: readonly CheckpointId[];
  readonly createdAt: Timestamp;
}

export const todoStates = ['open', 'active', 'done', 'dropped'] as const;
export type TodoState = (typeof todoStates)[number];

export interface Todo {
  readonly id: TodoId;
  readonly taskId: TaskId;
  /** 1 to 500 characters. */
  readonly text: string;
  readonly state: TodoState;
  /** A major todo done is worth a checkpoint. */
  readonly major: boolean;
  /** Raised by one with every change; 1 when created. */
  readonly version: number;
  readonly agent: string;
  readonly createdAt: Timestamp;
  readonly updatedAt: Timestamp;
}

export interface Note {
  readonly id: NoteId;
  readonly taskId: TaskId;
  /** Up to 20,000 characters. */
  readonly text: string;
  readonly version: number;
  readonly agent: string;
  readonly createdAt: Timestamp;
  readonly updatedAt: Timestamp;
}

export const messageRoles = ['user', 'assistant', 'system', 'tool'] as const;
export type MessageRole = (typeof messageRoles)[number];

/** One turn of a conversation. */
export interface Message {
  readonly id: MessageId;
  readonly taskId: TaskId;
  readonly sessionId: SessionId | null;
  readonly role: MessageRole;
  /** 1 to 100,000 characters; null for a body that is kept elsewhere, as records of others may say. */
  readonly text: string | null;
  /** Of such a body. */
  readonly bodyDigest: string | null;
  readonly createdAt: Timestamp;
}

/** What the memory of a task can be searched for. */
export const memoryKinds = ['decision', 'todo', 'note', 'message', 'execution'] as const;
export type MemoryKind = (typeof memoryKinds)[number];
