import { OpencodeToolsError, type TaskId, isId, isShortId } from '@opencode-tools/core';
import { type Plan, allRows } from '../query/plan.ts';
import { template } from '../query/template.ts';

interface Candidate {
  readonly id: string;
  readonly title: string | null;
}

/** Finds the one task that a reference means: full id, short id, or exact title. */
export function* resolveTaskReference(reference: string): Plan<TaskId> {
  const found = yield* candidates(reference);
  if (found.length === 1 && found[0] !== undefined) return found[0].id as TaskId;
  if (found.length === 0) {
    throw new OpencodeToolsError('OCT_TASK_NOT_FOUND', `There is no task ${JSON.stringify(reference.slice(0, 200))}`, {
      details: { reference: reference.slice(0, 200) },
    });
  }
  const list = found.map(({ id, title }) => `${id} (${title ?? 'deleted'})`).join(', ');
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Several tasks fit ${JSON.stringify(reference)}: ${list}`, {
    remedy: 'Name the task by its full id.',
    details: { argument: 'taskId', candidates: found.map(({ id }) => id) },
  });
}

function* candidates(reference: string): Plan<readonly Candidate[]> {
  if (isId('task', reference)) {
    const live = yield* allRows(selectById({ reference }));
    return live.length > 0 ? live : yield* allRows(selectReceiptById({ reference }));
  }
  if (isShortId(reference)) {
    const live = yield* allRows(selectByShortId({ reference }));
    const found = live.length > 0 ? live : yield* allRows(selectReceiptByShortId({ reference }));
    if (found.length > 0) return found;
  }
  return yield* allRows(selectByTitle({ reference }));
}

const mostListed = 5;

const selectById = template<{ reference: string }>()(({ db }, slot) =>
  db.selectFrom('tasks').select(['id', 'title']).where('id', '=', slot('reference')),
);
const selectByShortId = template<{ reference: string }>()(({ db }, slot) =>
  db.selectFrom('tasks').select(['id', 'title']).where('short_id', '=', slot('reference')).limit(mostListed),
);
const selectByTitle = template<{ reference: string }>()(({ db }, slot) =>
  db.selectFrom('tasks').select(['id', 'title']).where('title', '=', slot('reference')).orderBy('id').limit(mostListed),
);
const selectReceiptById = template<{ reference: string }>()(({ db }, slot) =>
  db
    .selectFrom('receipts')
    .select((expression) => ['task_id as id', expression.lit(null).as('title')])
    .where('task_id', '=', slot('reference')),
);
const selectReceiptByShortId = template<{ reference: string }>()(({ db }, slot) =>
  db
    .selectFrom('receipts')
    .select((expression) => ['task_id as id', expression.lit(null).as('title')])
    .where('short_id', '=', slot('reference'))
    .limit(mostListed),
);
