import {
  type Change,
  type Claim,
  type Decision,
  type Execution,
  type ExecutionId,
  type HomeId,
  type IdempotencyEntry,
  type LedgerRecord,
  type Message,
  type Note,
  OpencodeToolsError,
  type Operation,
  type OperationId,
  type Page,
  type PageRequest,
  type Receipt,
  type Sandbox,
  type Session,
  type SessionId,
  type Task,
  type TaskClaims,
  type TaskFilter,
  type TaskId,
  type TaskOrder,
  type TaskStatus,
  type TaskStore,
  type Todo,
  taskStatuses,
} from '@opencode-tools/core';
import { sql } from 'kysely';
import { type Statement, adHoc, allRows, firstRow } from '../query/plan.ts';
import { shapedTemplate } from '../query/template.ts';
import { fromRow } from '../rows/entity-rows.ts';
import { commitChange } from '../write/commit.ts';
import type { StoreContext } from '../write/context.ts';
import { selectEntry } from '../write/idempotency.ts';
import { selectActiveClaims, selectClaimsRevision } from './claim-rows.ts';
import { encodeCursor } from './cursor.ts';
import { executionsPage, messagesPage } from './list-pages.ts';
import { listTasksPlan, taskSorting } from './list-tasks.ts';
import { resolveTaskReference } from './resolve-task.ts';
import * as rows from './task-rows.ts';

type EntityStatement = Statement<{ entity: string }>;

/** The registry's rows, written by `commit` alone. */
export class StoredTasks implements TaskStore {
  readonly #ctx: StoreContext;
  readonly #close: () => Promise<void>;

  constructor(ctx: StoreContext, close: () => Promise<void>) {
    this.#ctx = ctx;
    this.#close = close;
  }

  get homeId(): HomeId {
    return this.#ctx.homeId;
  }

  get epoch(): number {
    return this.#ctx.epoch;
  }

  async commit(change: Change): Promise<readonly LedgerRecord[]> {
    return commitChange(this.#ctx, change);
  }

  async getTask(id: TaskId): Promise<Task> {
    const task = await this.findTask(id);
    if (task !== undefined) return task;
    const receipt = await this.findReceipt(id);
    const message = receipt === undefined ? `There is no task ${id}` : `Task ${id} was deleted at ${receipt.deletedAt}`;
    throw new OpencodeToolsError('OCT_TASK_NOT_FOUND', message, {
      ...(receipt === undefined ? {} : { remedy: remedyAfter(receipt) }),
      details: { taskId: id, ...(receipt === undefined ? {} : { receipt: { ...receipt } }) },
    });
  }

  async findTask(id: TaskId): Promise<Task | undefined> {
    return this.#find<Task>(rows.selectTask({ id }));
  }

  async findReceipt(id: TaskId): Promise<Receipt | undefined> {
    return this.#find<Receipt>(rows.selectReceipt({ id }));
  }

  async resolveTaskId(reference: string): Promise<TaskId> {
    return this.#ctx.engine.snapshot(() => resolveTaskReference(reference));
  }

  async listTasks(filter: TaskFilter, page?: PageRequest & { readonly order?: TaskOrder }): Promise<Page<Task>> {
    const found = await this.#ctx.engine.read(() => listTasksPlan(filter, page, this.#ctx.engine.traits));
    const order = page?.order ?? 'newest';
    const limit = page?.limit ?? 50;
    const items = found.slice(0, limit).map((row) => fromRow<Task>(row));
    const last = found.length > limit ? items.at(-1) : undefined;
    const next =
      last === undefined
        ? null
        : encodeCursor(`tasks:${order}`, { value: last[taskSorting[order].member], id: last.id });
    return { items, next };
  }

  async countTasks(): Promise<Readonly<Record<TaskStatus, number>>> {
    const counts = await this.#ctx.engine.read(() => allRows(countByStatus));
    const found = new Map(counts.map((row) => [row.status, row.total]));
    const entries = taskStatuses.map((status) => [status, found.get(status) ?? 0] as const);
    return Object.fromEntries(entries) as Record<TaskStatus, number>;
  }

  async findSandbox(taskId: TaskId): Promise<Sandbox | undefined> {
    return this.#find<Sandbox>(rows.selectSandbox({ taskId }));
  }

  async listSandboxes(): Promise<readonly Sandbox[]> {
    return this.#list<Sandbox>(rows.selectSandboxes(null));
  }

  async findSession(id: SessionId): Promise<Session | undefined> {
    return this.#find<Session>(rows.selectSession({ id }));
  }

  async listSessions(taskId: TaskId): Promise<readonly Session[]> {
    return this.#list<Session>(rows.selectSessions({ taskId }));
  }

  async findExecution(id: ExecutionId): Promise<Execution | undefined> {
    return this.#find<Execution>(rows.selectExecution({ id }));
  }

  async listExecutions(taskId: TaskId, page?: PageRequest): Promise<Page<Execution>> {
    return this.#ctx.engine.read(() => executionsPage(taskId, page));
  }

  async countExecutions(taskId: TaskId): Promise<number> {
    const row = await this.#ctx.engine.read(() => firstRow(rows.countTaskExecutions({ taskId })));
    return row?.total ?? 0;
  }

  async listDecisions(taskId: TaskId): Promise<readonly Decision[]> {
    return this.#list<Decision>(rows.selectDecisions({ taskId }));
  }

  async listTodos(taskId: TaskId): Promise<readonly Todo[]> {
    return this.#list<Todo>(rows.selectTodos({ taskId }));
  }

  async listNotes(taskId: TaskId): Promise<readonly Note[]> {
    return this.#list<Note>(rows.selectNotes({ taskId }));
  }

  async listMessages(taskId: TaskId, page?: PageRequest): Promise<Page<Message>> {
    return this.#ctx.engine.read(() => messagesPage(taskId, page));
  }

  async listClaims(taskId: TaskId): Promise<TaskClaims> {
    const nowMs = this.#ctx.clock.nowMs();
    return this.#ctx.engine.snapshot(function* () {
      const revision = (yield* firstRow(selectClaimsRevision({ taskId })))?.revision ?? 0;
      if (revision === 0) return { revision, active: [] };
      const found = yield* allRows(selectActiveClaims({ taskId, nowMs }));
      return { revision, active: found.map((row) => ({ claim: fromRow<Claim>(row), expired: row.expired === 1 })) };
    });
  }

  async listOpenOperations(taskId?: TaskId): Promise<readonly Operation[]> {
    return this.#list<Operation>(selectOpenOperations({ ofTask: taskId !== undefined }, { taskId }));
  }

  async findOperation(id: OperationId): Promise<Operation | undefined> {
    return this.#find<Operation>(rows.selectOperation({ id }));
  }

  async findIdempotency(key: string): Promise<IdempotencyEntry | undefined> {
    const row = await this.#ctx.engine.read(() => firstRow(selectEntry({ key, nowMs: this.#ctx.clock.nowMs() })));
    if (row === undefined) return undefined;
    return {
      key: row.key,
      verb: row.verb,
      argumentsDigest: row.arguments_digest,
      operationId: row.operation_id as OperationId | null,
      result: row.result === null ? null : (JSON.parse(row.result) as IdempotencyEntry['result']),
    };
  }

  async close(): Promise<void> {
    await this.#close();
  }

  async #find<T>(statement: EntityStatement): Promise<T | undefined> {
    const row = await this.#ctx.engine.read(() => firstRow(statement));
    return row === undefined ? undefined : fromRow<T>(row);
  }

  async #list<T>(statement: EntityStatement): Promise<readonly T[]> {
    const found = await this.#ctx.engine.read(() => allRows(statement));
    return found.map((row) => fromRow<T>(row));
  }
}

const selectOpenOperations = shapedTemplate(({ db }, { ofTask }: { readonly ofTask: boolean }, slot) =>
  db
    .selectFrom('operations')
    .select('entity')
    .where(sql<boolean>`state = 'open'`)
    .$if(ofTask, (query) => query.where('task_id', '=', slot('taskId')))
    .orderBy('started_at')
    .orderBy('id'),
);

const countByStatus = adHoc(({ db }) =>
  db
    .selectFrom('task_counts')
    .select(['status', ({ fn }) => fn.sum<number>('tasks').as('total')])
    .groupBy('status'),
);

function remedyAfter({ taskId, finalCheckpointId, memory }: Receipt): string {
  const record = `Its record can still be read, with task-history or in ${memory}.`;
  if (finalCheckpointId === null) return record;
  return `Bring its work back with \`opencode-tools recover ${taskId}\`. ${record}`;
}
