import { type Plan, later } from '../query/plan.ts';
import { template } from '../query/template.ts';
import { searchBody } from '../rows/search-text.ts';

/** Makes the texts of one entity findable; an unchanged document is not touched. */
export function* writeSearchDocument(taskId: string, entityId: string, ...texts: readonly string[]): Plan<void> {
  yield* later(upsertDocument({ entityId, taskId, body: searchBody(...texts) }));
}

export function* removeSearchDocuments(taskId: string): Plan<void> {
  yield* later(deleteDocuments({ taskId }));
}

const upsertDocument = template<{ entityId: string; taskId: string; body: string }>()(({ db }, slot) =>
  db
    .insertInto('search_documents')
    .values({ entity_id: slot('entityId'), task_id: slot('taskId'), body: slot('body') })
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
