import type { Checkpoint } from '../domain/checkpoint.ts';
import type { CheckpointId } from '../domain/ids.ts';

/** How many checkpoints of a task stay. What is tagged or pinned, and what a task comes back from, always does. */
export interface RetentionPolicy {
  /** Most checkpoints of a task; 0 for any number. */
  readonly maxPerTask: number;
  /** Days after which a checkpoint goes; 0 for never. */
  readonly keepDays: number;
  /** Days after which only the newest checkpoint of a day (UTC) stays; 0 for never. */
  readonly thinAfterDays: number;
  /** Bytes that the checkpoints of a task may take on disk beside what other tasks need anyway; 0 for any number. */
  readonly budgetBytes: number;
  /** Bytes that the checkpoints of all tasks of the home may take on disk; 0 for any number. */
  readonly homeBudgetBytes: number;
}

export const defaultRetention: RetentionPolicy = {
  maxPerTask: 200,
  keepDays: 0,
  thinAfterDays: 30,
  budgetBytes: 0,
  homeBudgetBytes: 0,
};

/** Which rule a checkpoint goes by. */
export type RetentionRule = 'age' | 'thinning' | 'number' | 'budget' | 'home-budget';

export interface RetentionFacts {
  /** Of one task, newest first. */
  readonly checkpoints: readonly Checkpoint[];
  /** Those that stay whatever the policy says. */
  readonly kept: ReadonlySet<CheckpointId>;
  readonly nowMs: number;
  /**
   * Bytes that each takes which none before it does, for the budget: in the order of `inOrderOfWorth`. Absent without a
   * budget.
   */
  readonly addedBytes?: ReadonlyMap<CheckpointId, number>;
}

export interface Outworn {
  readonly checkpoint: Checkpoint;
  readonly rule: RetentionRule;
}

const dayMs = 86_400_000;

/** Decides which checkpoints go, oldest first: by age, then thinned out, then by number, then by the budget. */
export function planRetention(policy: RetentionPolicy, facts: RetentionFacts): readonly Outworn[] {
  const { checkpoints, kept, nowMs, addedBytes } = facts;
  const going = new Map<CheckpointId, Outworn>();
  const free = checkpoints.filter(({ id }) => !kept.has(id));
  const drop = (checkpoint: Checkpoint, rule: RetentionRule): void => {
    if (!going.has(checkpoint.id)) going.set(checkpoint.id, { checkpoint, rule });
  };
  const isOlder = ({ createdAt }: Checkpoint, days: number): boolean =>
    days > 0 && nowMs - Date.parse(createdAt) > days * dayMs;
  for (const checkpoint of free) if (isOlder(checkpoint, policy.keepDays)) drop(checkpoint, 'age');
  const days = new Set<string>();
  for (const checkpoint of free) {
    if (going.has(checkpoint.id) || !isOlder(checkpoint, policy.thinAfterDays)) continue;
    const day = checkpoint.createdAt.slice(0, 10);
    if (days.has(day)) drop(checkpoint, 'thinning');
    days.add(day);
  }
  const excess = policy.maxPerTask === 0 ? 0 : checkpoints.length - going.size - policy.maxPerTask;
  const left = free.filter(({ id }) => !going.has(id));
  for (const checkpoint of excess > 0 ? left.slice(-excess) : []) drop(checkpoint, 'number');
  if (policy.budgetBytes > 0 && addedBytes !== undefined) {
    let bytes = 0;
    for (const checkpoint of inOrderOfWorth(checkpoints, kept)) {
      if (going.has(checkpoint.id)) continue;
      bytes += addedBytes.get(checkpoint.id) ?? 0;
      if (bytes > policy.budgetBytes && !kept.has(checkpoint.id)) drop(checkpoint, 'budget');
    }
  }
  return [...going.values()].toSorted(({ checkpoint: one }, { checkpoint: other }) =>
    one.createdAt < other.createdAt ? -1 : 1,
  );
}

/** Decides which checkpoints of all tasks go by the budget of the home, once every task has kept to its own rules. */
export function planHomeBudget(bytes: number, facts: RetentionFacts): readonly Outworn[] {
  const policy = { maxPerTask: 0, keepDays: 0, thinAfterDays: 0, budgetBytes: bytes, homeBudgetBytes: 0 };
  return planRetention(policy, facts).map(({ checkpoint }) => ({ checkpoint, rule: 'home-budget' }));
}

/** Those that are kept, then the others, newest first. */
export function inOrderOfWorth(
  checkpoints: readonly Checkpoint[],
  kept: ReadonlySet<CheckpointId>,
): readonly Checkpoint[] {
  return [...checkpoints.filter(({ id }) => kept.has(id)), ...checkpoints.filter(({ id }) => !kept.has(id))];
}
