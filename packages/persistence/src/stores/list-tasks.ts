import type { PageRequest, TaskFilter, TaskOrder } from '@opencode-tools/core';
import { type ExpressionBuilder, type ExpressionWrapper, type SqlBool, sql } from 'kysely';
import type { Database } from '../query/database.ts';
import { type Statement, adHoc } from '../query/plan.ts';
import type { Traits } from '../query/traits.ts';
import { searchWords } from '../rows/search-text.ts';
import { type CursorPosition, decodeCursor, pageLimit } from './cursor.ts';

export interface TaskListRow {
  readonly id: string;
  readonly created_at: string;
  readonly updated_at: string;
  readonly entity: string;
}

export const taskSorting = {
  newest: { column: 'created_at', direction: 'desc' },
  oldest: { column: 'created_at', direction: 'asc' },
  updated: { column: 'updated_at', direction: 'desc' },
} as const satisfies Record<
  TaskOrder,
  { readonly column: 'created_at' | 'updated_at'; readonly direction: 'asc' | 'desc' }
>;

/** Builds the query of one page, with one row more than asked to tell whether another page follows. */
export function listTasksStatement(
  filter: TaskFilter,
  page: (PageRequest & { readonly order?: TaskOrder }) | undefined,
): Statement<TaskListRow> {
  const order = page?.order ?? 'newest';
  const limit = pageLimit(page);
  const after = decodeCursor(`tasks:${order}`, page?.cursor);
  const { column, direction } = taskSorting[order];
  return adHoc((traits) =>
    traits.db
      .selectFrom('tasks')
      .select(['id', 'created_at', 'updated_at', 'entity'])
      .where((expression) => expression.and(conditions(expression, filter, traits)))
      .$if(after !== null, (query) => query.where(pastCursor(column, direction, after)))
      .orderBy(column, direction)
      .orderBy('id', direction)
      .limit(limit + 1),
  );
}

function pastCursor(column: 'created_at' | 'updated_at', direction: 'asc' | 'desc', after: CursorPosition | null) {
  return (expression: ExpressionBuilder<Database, 'tasks'>) =>
    expression(
      expression.refTuple(column, 'id'),
      direction === 'asc' ? '>' : '<',
      expression.tuple(after?.value ?? '', after?.id ?? ''),
    );
}

type Condition = ExpressionWrapper<Database, 'tasks', SqlBool>;

function conditions(
  expression: ExpressionBuilder<Database, 'tasks'>,
  filter: TaskFilter,
  traits: Traits,
): readonly Condition[] {
  const found: Condition[] = [];
  const { status, parentId, owner, project, createdAfter, createdBefore } = filter;
  if (status?.length === 1) found.push(expression('status', '=', status[0] ?? ''));
  else if (status !== undefined) found.push(status.length === 0 ? nothing() : expression('status', 'in', status));
  if (parentId !== undefined) found.push(expression('parent_id', '=', parentId));
  if (owner !== undefined) found.push(expression('owner', '=', owner));
  if (project !== undefined) found.push(expression('project', '=', project));
  if (createdAfter !== undefined) found.push(expression('created_at', '>', createdAfter));
  if (createdBefore !== undefined) found.push(expression('created_at', '<', createdBefore));
  if (filter.label !== undefined) found.push(expression('id', 'in', labelled(traits, filter.label)));
  if (filter.agent !== undefined) found.push(expression('id', 'in', ofAgent(traits, filter.agent)));
  if (filter.text !== undefined) found.push(...withWords(expression, traits, filter.text));
  return found;
}

function labelled({ db }: Traits, label: NonNullable<TaskFilter['label']>) {
  const { name, value } = label;
  return db
    .selectFrom('task_labels')
    .select('task_id')
    .where('name', '=', name)
    .$if(value !== undefined, (query) => query.where('value', '=', value ?? ''));
}

function ofAgent({ db }: Traits, agent: string) {
  return db.selectFrom('sessions').select('task_id').where('agent', '=', agent);
}

function withWords(
  expression: ExpressionBuilder<Database, 'tasks'>,
  traits: Traits,
  text: string,
): readonly Condition[] {
  const words = searchWords(text);
  if (words.length === 0) return [nothing()];
  return words.map((word) => expression('id', 'in', traits.tasksWithWord(word)));
}

function nothing(): Condition {
  return sql<SqlBool>`1 = 0` as unknown as Condition;
}
