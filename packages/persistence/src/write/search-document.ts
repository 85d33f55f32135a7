import { type Put, searchBody } from '@opencode-tools/core';
import type { Database } from '../query/database.ts';
import { type Plan, later } from '../query/plan.ts';
import { template } from '../query/template.ts';

/** Makes what has texts findable by them; an unchanged document is not touched. */
export function* writeSearchDocument(put: Put): Plan<void> {
  const document = searchDocument(put);
  if (document !== null) yield* later(upsertDocument(document));
}

/** What is searched for by its texts. */
export const searchedNouns: ReadonlySet<Put['noun']> = new Set(['task', 'todo', 'note', 'decision', 'message']);

/** By what the thing that a record puts is found; null when it is not searched for. */
export function searchDocument({ noun, value }: Put): Database['search_documents'] | null {
  if (noun === 'task') return documentOf(value.id, value.id, value.title, value.description);
  if (noun === 'todo' || noun === 'note') return documentOf(value.taskId, value.id, value.text);
  if (noun === 'message') return documentOf(value.taskId, value.id, value.text ?? '');
  if (noun !== 'decision') return null;
  return documentOf(value.taskId, value.id, value.what, value.why, ...value.alternatives);
}

function documentOf(taskId: string, entityId: string, ...texts: readonly string[]): Database['search_documents'] {
  return { entity_id: entityId, task_id: taskId, body: searchBody(...texts) };
}

export function* removeSearchDocuments(taskId: string): Plan<void> {
  yield* later(deleteDocuments({ taskId }));
}

const upsertDocument = template<Database['search_documents']>()(({ db }, slot) =>
  db
    .insertInto('search_documents')
    .values({ entity_id: slot('entity_id'), task_id: slot('task_id'), body: slot('body') })
    .onConflict((conflict) =>
      conflict
        .column('entity_id')
        .doUpdateSet((row) => ({ body: row.ref('excluded.body') }))
        .whereRef('search_documents.body', '<>', 'excluded.body' as never),
    ),
);

const deleteDocuments = template<{ taskId: string }>()(({ db }, slot) =>
  db.deleteFrom('search_documents').where('task_id', '=', slot('taskId')),
);
