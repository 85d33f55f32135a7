import { OpencodeToolsError, type Task, type TaskId } from '@opencode-tools/core';
import { type Plan, adHoc, firstRow } from '../query/plan.ts';
import { template } from '../query/template.ts';
import { fromRow } from '../rows/entity-rows.ts';

/** More than any plan of people; a walk that goes on longer would hold the database. */
const maxVisited = 10_000;

type Edges = (task: Task) => readonly TaskId[];

const relations = {
  parentId: (task) => (task.parentId === null ? [] : [task.parentId]),
  dependsOn: (task) => task.dependsOn,
} as const satisfies Record<string, Edges>;

/**
 * Refuses a change by which a task would become its own ancestor, or depend on itself through others. Walks the tasks as this
 * transaction sees them, one such walk at a time, so that two changes cannot close a cycle between them.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` with the cycle in `details`; `OCT_RESOURCE_LIMIT`
 */
export function* checkCycles(before: Task, after: Task): Plan<void> {
  for (const [argument, edges] of Object.entries(relations)) {
    if (JSON.stringify(edges(before)) === JSON.stringify(edges(after))) continue;
    yield lockGraph;
    yield* walk(argument, after, edges);
  }
}

function* walk(argument: string, task: Task, edges: Edges): Plan<void> {
  const reachedFrom = new Map<TaskId, TaskId>(edges(task).map((id) => [id, task.id]));
  for (const id of reachedFrom.keys()) {
    if (id === task.id) throw cycle(argument, task.id, reachedFrom);
    if (reachedFrom.size > maxVisited) throw tooManyTasks(argument, task.id);
    const row = yield* firstRow(selectTask({ id }));
    if (row === undefined) continue;
    for (const next of edges(fromRow<Task>(row))) if (!reachedFrom.has(next)) reachedFrom.set(next, id);
  }
}

function cycle(argument: string, id: TaskId, reachedFrom: ReadonlyMap<TaskId, TaskId>): OpencodeToolsError {
  const path: TaskId[] = [id];
  for (let at = reachedFrom.get(id); at !== undefined && at !== id; at = reachedFrom.get(at)) path.unshift(at);
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `${argument}: ${[id, ...path].join(' → ')} would be a cycle`, {
    remedy: 'Leave out one of these, or change the other tasks first.',
    details: { argument, cycle: [id, ...path] },
  });
}

function tooManyTasks(argument: string, id: TaskId): OpencodeToolsError {
  return new OpencodeToolsError('OCT_RESOURCE_LIMIT', `${id} would be connected to more than ${maxVisited} tasks`, {
    details: { argument, limit: 'connected tasks', value: maxVisited },
  });
}

const lockGraph = adHoc(({ db, graphLock }) => ({ compile: () => graphLock.compile(db) }));

const selectTask = template<{ id: string }>()(({ db }, slot) =>
  db.selectFrom('tasks').select('entity').where('id', '=', slot('id')),
);
