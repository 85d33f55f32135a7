import type { Claim } from '../claims/claim.ts';
import type { Checkpoint, CheckpointRemoval } from '../domain/checkpoint.ts';
import type { Execution } from '../domain/execution.ts';
import type { Decision, Message, Note, Todo } from '../domain/journal.ts';
import type { Operation } from '../domain/operation.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { Lease, Session } from '../domain/session.ts';
import type { Receipt, Task } from '../domain/task.ts';

/**
 * One row as it is after a change. A record's puts are all that the store writes for it, so that replaying the ledger
 * rebuilds the rows.
 *
 * Nouns with a `version` (task, todo, note, claim) are inserted at version 1 and otherwise replace exactly version - 1; a row
 * at another version is a `OCT_VERSION_CONFLICT`. A `sandbox` replaces only an older generation or itself, else it is the
 * same conflict. The other nouns are inserted or replaced by id. `receipt` replaces the task row by a tombstone;
 * `checkpointRemoval` takes the row of a checkpoint away, if there is one.
 */
export type Put =
  | { readonly noun: 'task'; readonly value: Task }
  | { readonly noun: 'session'; readonly value: Session }
  | { readonly noun: 'lease'; readonly value: Lease }
  | { readonly noun: 'sandbox'; readonly value: Sandbox }
  | { readonly noun: 'execution'; readonly value: Execution }
  | { readonly noun: 'decision'; readonly value: Decision }
  | { readonly noun: 'todo'; readonly value: Todo }
  | { readonly noun: 'note'; readonly value: Note }
  | { readonly noun: 'claim'; readonly value: Claim }
  | { readonly noun: 'message'; readonly value: Message }
  | { readonly noun: 'checkpoint'; readonly value: Checkpoint }
  | { readonly noun: 'checkpointRemoval'; readonly value: CheckpointRemoval }
  | { readonly noun: 'operation'; readonly value: Operation }
  | { readonly noun: 'receipt'; readonly value: Receipt };

export type PutNoun = Put['noun'];
