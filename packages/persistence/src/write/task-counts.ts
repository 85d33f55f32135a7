import type { TaskId, TaskStatus } from '@opencode-tools/core';
import { type Plan, later } from '../query/plan.ts';
import { template } from '../query/template.ts';
import type { Traits } from '../query/traits.ts';

/** Collects what a change does to the number of tasks per status. */
export class CountChanges {
  readonly #changes = new Map<string, { readonly status: TaskStatus; readonly shard: number; by: number }>();
  readonly #shards: number;

  constructor(traits: Traits) {
    this.#shards = traits.counterShards;
  }

  add(taskId: TaskId, status: TaskStatus, by: number): void {
    const shard = this.#shards === 1 ? 0 : shardOf(taskId, this.#shards);
    const key = `${status}/${shard}`;
    const found = this.#changes.get(key);
    if (found === undefined) this.#changes.set(key, { status, shard, by });
    else found.by += by;
  }

  /** Writes the counters, in one order for all transactions. */
  *write(): Plan<void> {
    const keys = [...this.#changes.keys()].sort();
    for (const key of keys) {
      const change = this.#changes.get(key);
      if (change !== undefined && change.by !== 0) yield* later(raiseCount(change));
    }
  }
}

const raiseCount = template<{ status: string; shard: number; by: number }>()(({ db }, slot) =>
  db
    .insertInto('task_counts')
    .values({ status: slot('status'), shard: slot('shard'), tasks: slot('by') })
    .onConflict((conflict) =>
      conflict.columns(['status', 'shard']).doUpdateSet((row) => ({
        tasks: row('task_counts.tasks', '+', row.ref('excluded.tasks')),
      })),
    ),
);

function shardOf(id: string, shards: number): number {
  let sum = 0;
  for (let index = id.length - 8; index < id.length; index += 1) sum += id.charCodeAt(index);
  return sum % shards;
}
