import { type PageRequest, type TaskFilter, type TaskOrder, searchWords } from '@opencode-tools/core';
import {
  type Compilable,
  type ExpressionBuilder,
  type ExpressionWrapper,
  type RawBuilder,
  type SqlBool,
  sql,
} from 'kysely';
import type { Database } from '../query/database.ts';
import { type Plan, type Statement, adHoc, allRows, outcomeRows, together } from '../query/plan.ts';
import { shapedTemplate } from '../query/template.ts';
import type { Traits } from '../query/traits.ts';
import { decodeCursor, pageLimit } from './cursor.ts';

export interface TaskListRow {
  readonly entity: string;
}

export const taskSorting = {
  newest: { column: 'created_at', member: 'createdAt', direction: 'desc' },
  oldest: { column: 'created_at', member: 'createdAt', direction: 'asc' },
  updated: { column: 'updated_at', member: 'updatedAt', direction: 'desc' },
} as const satisfies Record<
  TaskOrder,
  {
    readonly column: 'created_at' | 'updated_at';
    /** Where the task itself has the same value. */
    readonly member: 'createdAt' | 'updatedAt';
    readonly direction: 'asc' | 'desc';
  }
>;

interface ListShape {
  readonly order: TaskOrder;
  readonly past: boolean;
  /** Number of statuses asked for; null for all. */
  readonly statuses: number | null;
  readonly equal: readonly ('parent_id' | 'owner' | 'project')[];
  readonly createdAfter: boolean;
  readonly createdBefore: boolean;
  readonly label: 'name' | 'value' | null;
  readonly agent: boolean;
  readonly bound: boolean;
  /** Number of words; null when no text is asked for. */
  readonly words: number | null;
  /** For each of the words, whether it is in so many documents that the tasks are gone through in their order. */
  readonly common: readonly boolean[];
}

/** Reads one page of tasks; how many documents have the words decides the way. */
export function* listTasksPlan(filter: TaskFilter, page: ListPage, traits: Traits): Plan<readonly TaskListRow[]> {
  const words = filter.text === undefined ? [] : searchWords(filter.text);
  return yield* allRows(listTasksStatement(filter, page, yield* areCommon(words, traits)));
}

function* areCommon(
  words: readonly string[],
  { documentsWithWord, wordPattern, commonDocuments }: Traits,
): Plan<readonly boolean[]> {
  const counts = words.map((word) =>
    adHoc(({ db }) => query(documentsWithWord(wordPattern(word), commonDocuments), db)),
  );
  const counted = yield* together(counts);
  return counts.map((count, index) => (outcomeRows(count, counted[index])[0]?.documents ?? 0) >= commonDocuments);
}

type ListPage = (PageRequest & { readonly order?: TaskOrder }) | undefined;

/** Builds the query of one page, with one row more than asked to tell whether another page follows. */
function listTasksStatement(filter: TaskFilter, page: ListPage, common: readonly boolean[]): Statement<TaskListRow> {
  const order = page?.order ?? 'newest';
  const after = decodeCursor(`tasks:${order}`, page?.cursor);
  const words = filter.text === undefined ? null : searchWords(filter.text);
  const { status, parentId, owner, project, createdAfter, createdBefore, label, agent } = filter;
  const equal = { parent_id: parentId, owner, project };
  const shape: ListShape = {
    order,
    past: after !== null,
    statuses: status === undefined ? null : status.length,
    equal: equalColumns.filter((column) => equal[column] !== undefined),
    createdAfter: createdAfter !== undefined,
    createdBefore: createdBefore !== undefined,
    label: label === undefined ? null : label.value === undefined ? 'name' : 'value',
    agent: agent !== undefined,
    bound: filter.bound === true,
    words: words === null ? null : words.length,
    common,
  };
  return {
    compile: (traits) => {
      const compiled = listTasks(shape, {
        ...equal,
        ...Object.fromEntries((status ?? []).map((each, index) => [`status${index}`, each])),
        ...Object.fromEntries((words ?? []).map((word, index) => [`word${index}`, traits.wordPattern(word)])),
        createdAfter,
        createdBefore,
        agent,
        labelName: label?.name,
        labelValue: label?.value,
        afterValue: after?.value,
        afterId: after?.id,
        limit: pageLimit(page) + 1,
      }).compile(traits);
      // How many rows a word matches decides the plan, so a plan for any word fits none.
      return words === null ? compiled : { ...compiled, name: null };
    },
  };
}

const equalColumns = ['parent_id', 'owner', 'project'] as const;

type Slots = (name: string) => string;

const listTasks = shapedTemplate<ListShape, TaskListRow>((traits, shape, slot) => {
  const { column, direction } = taskSorting[shape.order];
  return traits.db
    .selectFrom('tasks')
    .select('entity')
    .where((expression) => expression.and(conditions(expression, shape, traits, slot)))
    .$if(shape.past, (query) =>
      query.where((expression) =>
        expression(
          expression.refTuple(column, 'id'),
          direction === 'asc' ? '>' : '<',
          expression.tuple(slot('afterValue'), slot('afterId')),
        ),
      ),
    )
    .orderBy(column, direction)
    .orderBy('id', direction)
    .limit(slot('limit') as unknown as number);
});

type Condition = ExpressionWrapper<Database, 'tasks', SqlBool>;

function conditions(
  expression: ExpressionBuilder<Database, 'tasks'>,
  shape: ListShape,
  traits: Traits,
  slot: Slots,
): readonly Condition[] {
  const { statuses, words } = shape;
  const found: Condition[] = shape.equal.map((column) => expression(column, '=', slot(column)));
  if (statuses === 1) found.push(expression('status', '=', slot('status0')));
  else if (statuses === 0) found.push(nothing());
  else if (statuses !== null) found.push(expression('status', 'in', numbered('status', statuses, slot)));
  if (shape.createdAfter) found.push(expression('created_at', '>', slot('createdAfter')));
  if (shape.createdBefore) found.push(expression('created_at', '<', slot('createdBefore')));
  if (shape.label !== null) found.push(expression('id', 'in', labelled(traits, shape.label, slot)));
  if (shape.agent) found.push(expression('id', 'in', ofAgent(traits, slot)));
  if (shape.bound) found.push(traits.isBound as unknown as Condition);
  if (words === 0) found.push(nothing());
  else if (words !== null) {
    const all = shape.common.every(Boolean);
    for (const [index, word] of numbered('word', words, slot).entries()) {
      const common = shape.common[index] === true;
      found.push(traits.hasWord(word, { common, all }) as unknown as Condition);
    }
  }
  return found;
}

function numbered(name: string, count: number, slot: Slots): string[] {
  return Array.from({ length: count }, (_, index) => slot(`${name}${index}`));
}

function labelled({ db }: Traits, by: 'name' | 'value', slot: Slots) {
  return db
    .selectFrom('task_labels')
    .select('task_id')
    .where('name', '=', slot('labelName'))
    .$if(by === 'value', (query) => query.where('value', '=', slot('labelValue')));
}

function ofAgent({ db }: Traits, slot: Slots) {
  return db.selectFrom('sessions').select('task_id').where('agent', '=', slot('agent'));
}

function query<R>(of: RawBuilder<R>, db: Traits['db']): Compilable<R> {
  return { compile: () => of.compile(db) };
}

function nothing(): Condition {
  return sql<SqlBool>`1 = 0` as unknown as Condition;
}
