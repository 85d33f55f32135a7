import type { OperationId, TaskId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Operation, OperationKind } from '../domain/operation.ts';
import type { LeaseProof } from '../domain/session.ts';
import type { Task, Timestamp } from '../domain/task.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { LedgerRecord, RecordDraft, RecordType, StreamId } from '../ledger/ledger-record.ts';
import type { Put } from '../ledger/put.ts';
import { toTimestamp } from '../ports/clock.ts';
import type { Change, Guard } from '../ports/task-store.ts';
import type { ServiceDependencies } from './dependencies.ts';
import type { Call } from './services.ts';

const maxVersionRetries = 3;

/** The few moves that every verb is made of: stamp, draft, commit, publish. */
export interface Kernel {
  readonly deps: ServiceDependencies;
  now(): Timestamp;
  /** Commits, then publishes the records and asks for their projection. */
  commit(change: Change): Promise<readonly LedgerRecord[]>;
  /**
   * Reads a task, lets `decide` say the change, commits it; when somebody else changed the task meanwhile, reads and
   * decides again, at most three times.
   */
  changeTask<T>(id: TaskId, decide: (task: Task) => Promise<TaskChange<T>> | TaskChange<T>): Promise<T>;
  /** Operations that this process could not end, and does not touch again but by recovery. */
  readonly leftToRecovery: Set<OperationId>;
  /** What this process settles just now: of several calls that find a broken-off change, one does. */
  readonly settling: Map<OperationId, Promise<unknown>>;
  /**
   * A row for an operation that starts now, owned by this process.
   *
   * @param id by default a new one
   */
  newOperation(
    kind: OperationKind,
    taskId: TaskId,
    proof: LeaseProof | null,
    intent: JsonObject,
    id?: OperationId,
  ): Operation;
}

interface TaskChange<T> {
  /** Null: nothing to do. */
  readonly change: Change | null;
  readonly result: T;
}

export interface DraftInput {
  readonly stream: StreamId;
  readonly type: RecordType;
  readonly call: Call;
  readonly puts?: readonly Put[];
  readonly detail?: JsonObject;
  readonly proof?: LeaseProof | null;
  readonly operationId?: OperationId | null;
}

export function createKernel(deps: ServiceDependencies): Kernel {
  const kernel: Kernel = {
    deps,
    leftToRecovery: new Set(),
    settling: new Map(),
    now: () => toTimestamp(deps.clock.nowMs()),
    commit: async (change) => {
      const records = await deps.tasks.commit(change);
      for (const stream of new Set(records.map((record) => record.stream))) {
        if (stream !== 'home') deps.memory.touch(stream);
      }
      deps.notifier.publish(records);
      return records;
    },
    changeTask: async (id, decide) => {
      for (let attempt = 1; ; attempt += 1) {
        const { epoch } = deps.tasks;
        const { change, result } = await decide(await deps.tasks.getTask(id));
        if (change === null) return result;
        try {
          await kernel.commit({ ...change, epoch });
          return result;
        } catch (error) {
          if (attempt >= maxVersionRetries || !isOpencodeToolsError(error, 'OCT_VERSION_CONFLICT')) throw error;
        }
      }
    },
    newOperation: (kind, taskId, proof, intent, id = deps.ids.next('operation')) => ({
      id,
      kind,
      taskId,
      state: 'open',
      intent,
      outcome: null,
      owner: deps.processes.self(),
      proof,
      startedAt: kernel.now(),
      endedAt: null,
    }),
  };
  return kernel;
}

/** Writes out a record draft with the caller's identity. */
export function draft(input: DraftInput): RecordDraft {
  return {
    stream: input.stream,
    type: input.type,
    actor: input.call.actor,
    puts: input.puts ?? [],
    detail: input.detail ?? {},
    token: input.proof?.token ?? null,
    operationId: input.operationId ?? null,
    correlationId: input.call.correlationId ?? null,
  };
}

/** The guard that a lease's holder writes under. */
export function leaseGuard(proof: LeaseProof, allowPending = false): Guard {
  return { lease: { leaseId: proof.leaseId, token: proof.token, allowPending } };
}

/** A finished operation's row. */
export function finished(
  operation: Operation,
  state: 'completed' | 'failed' | 'interrupted',
  outcome: JsonObject,
  at: Timestamp,
): Operation {
  return { ...operation, state, outcome, endedAt: at };
}
