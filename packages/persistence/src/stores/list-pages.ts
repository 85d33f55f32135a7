import type { Execution, Message, Page, PageRequest, TaskId } from '@opencode-tools/core';
import { type Plan, adHoc, allRows } from '../query/plan.ts';
import { fromRow } from '../rows/entity-rows.ts';
import { decodeCursor, encodeCursor, pageLimit } from './cursor.ts';

/** One page of a task's executions, newest first. */
export function executionsPage(taskId: TaskId, page: PageRequest | undefined): Plan<Page<Execution>> {
  return newestFirst<Execution>('executions', 'started_at', taskId, page);
}

/** One page of what was said in a task, newest first. */
export function messagesPage(taskId: TaskId, page: PageRequest | undefined): Plan<Page<Message>> {
  return newestFirst<Message>('messages', 'created_at', taskId, page);
}

function* newestFirst<T>(
  table: 'executions' | 'messages',
  time: 'started_at' | 'created_at',
  taskId: TaskId,
  page: PageRequest | undefined,
): Plan<Page<T>> {
  const limit = pageLimit(page);
  const after = decodeCursor(table, page?.cursor);
  const found = yield* allRows(
    adHoc(({ db }) =>
      db
        .selectFrom(table)
        .select((expression) => ['id', expression.ref(time as 'created_at').as('at'), 'entity'])
        .where('task_id', '=', taskId)
        .$if(after !== null, (query) =>
          query.where((expression) =>
            expression(
              expression.refTuple(time as 'created_at', 'id'),
              '<',
              expression.tuple(after?.value ?? '', after?.id ?? ''),
            ),
          ),
        )
        .orderBy(time as 'created_at', 'desc')
        .orderBy('id', 'desc')
        .limit(limit + 1),
    ),
  );
  const last = found.length > limit ? found[limit - 1] : undefined;
  return {
    items: found.slice(0, limit).map((row) => fromRow<T>(row)),
    next: last === undefined ? null : encodeCursor(table, { value: last.at, id: last.id }),
  };
}
