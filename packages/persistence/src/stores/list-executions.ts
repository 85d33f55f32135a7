import type { Execution, Page, PageRequest, TaskId } from '@opencode-tools/core';
import { type Plan, adHoc, allRows } from '../query/plan.ts';
import { fromRow } from '../rows/entity-rows.ts';
import { decodeCursor, encodeCursor, pageLimit } from './cursor.ts';

/** One page of a task's executions, newest first. */
export function* executionsPage(taskId: TaskId, page: PageRequest | undefined): Plan<Page<Execution>> {
  const limit = pageLimit(page);
  const after = decodeCursor('executions', page?.cursor);
  const found = yield* allRows(
    adHoc(({ db }) =>
      db
        .selectFrom('executions')
        .select(['id', 'started_at', 'entity'])
        .where('task_id', '=', taskId)
        .$if(after !== null, (query) =>
          query.where((expression) =>
            expression(
              expression.refTuple('started_at', 'id'),
              '<',
              expression.tuple(after?.value ?? '', after?.id ?? ''),
            ),
          ),
        )
        .orderBy('started_at', 'desc')
        .orderBy('id', 'desc')
        .limit(limit + 1),
    ),
  );
  const last = found.length > limit ? found[limit - 1] : undefined;
  return {
    items: found.slice(0, limit).map((row) => fromRow<Execution>(row)),
    next: last === undefined ? null : encodeCursor('executions', { value: last.started_at, id: last.id }),
  };
}
