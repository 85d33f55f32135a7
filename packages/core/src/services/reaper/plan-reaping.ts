import type { TaskId } from '../../domain/ids.ts';
import type { Operation } from '../../domain/operation.ts';
import type { PooledSandbox } from '../../domain/pooled-sandbox.ts';
import type { EngineObject, ReapFacts } from './reap-facts.ts';

/**
 * Why an object is provably nobody's any more.
 *
 * - `task-deleted`: its task has a tombstone, whose receipt says where the work is.
 * - `operation-ended`: the operation that made it failed or was interrupted, so it never became part of a task.
 * - `checkpoint-deleted`: it is the root file system of a checkpoint that is no more.
 * - `replaced`: a restore, which saves the present first, put others in its place.
 * - `pool-entry`: it was kept ready, no task claimed it, and its process is gone.
 * - `helper-idle`: it serves for the time of one call, and ended long ago, or no operation is open.
 */
const reapEvidence = [
  'task-deleted',
  'operation-ended',
  'checkpoint-deleted',
  'replaced',
  'pool-entry',
  'helper-idle',
] as const;
export type ReapEvidence = (typeof reapEvidence)[number];

export interface Removal {
  readonly object: EngineObject;
  readonly evidence: ReapEvidence;
}

/** What is found and left alone, with the reason. */
export interface Leftover {
  readonly object: EngineObject;
  readonly reason: string;
}

export interface ReapPlan {
  readonly removals: readonly Removal[];
  /** Entries of the pool whose process died and that no task claimed. */
  readonly entries: readonly PooledSandbox[];
  /** Entries of tasks that have nothing on the engine any more. */
  readonly spent: readonly PooledSandbox[];
  /** What no row, receipt, checkpoint or open operation knows: it may be somebody's work. */
  readonly unknown: readonly Leftover[];
  readonly unknownMemory: readonly TaskId[];
  /** Why nothing is removed; null when the plan may be carried out. */
  readonly untrusted: string | null;
}

type Verdict = { readonly evidence: ReapEvidence } | { readonly reason: string } | 'used';

/** Decides from facts alone. An object goes on positive evidence only; without any it is reported. */
export function planReaping(facts: ReapFacts): ReapPlan {
  const used = usedNames(facts);
  const removals: Removal[] = [];
  const unknown: Leftover[] = [];
  for (const object of facts.objects) {
    const verdict = judge(object, facts, used);
    if (verdict === 'used') continue;
    if ('reason' in verdict) unknown.push({ object, ...verdict });
    else removals.push({ object, ...verdict });
  }
  const trusted = facts.untrusted === null;
  const there = new Set(facts.objects.flatMap(({ name, ref }) => [name, ref]));
  return {
    removals: trusted ? removals : [],
    entries: trusted ? facts.pooled.filter((entry) => entry.claim === null && !facts.isAlive(entry)) : [],
    spent: trusted ? facts.pooled.filter((entry) => isSpent(entry, facts, there)) : [],
    unknown,
    unknownMemory: facts.unknownMemory,
    untrusted: facts.untrusted,
  };
}

function judge(object: EngineObject, facts: ReapFacts, used: ReadonlySet<string>): Verdict {
  if (used.has(object.ref) || used.has(object.name)) return 'used';
  const entry = facts.pooled.find(({ id }) => id === object.operationId);
  if (entry !== undefined && entry.claim === null) return facts.isAlive(entry) ? 'used' : { evidence: 'pool-entry' };
  if (object.kind === 'helper' || object.kind === 'view') return judgeHelper(object, facts);
  const taskId = entry?.claim?.taskId ?? object.taskId;
  const operation = facts.operations.get(entry?.claim?.operationId ?? object.operationId ?? '');
  if (operation?.state === 'open') return 'used';
  const evidence = evidenceFor(object, taskId, operation, facts);
  if (evidence === undefined) return { reason: 'it is in no row of the registry' };
  return isYoung(object, facts) ? 'used' : { evidence };
}

function evidenceFor(
  object: EngineObject,
  taskId: TaskId | null,
  operation: Operation | undefined,
  facts: ReapFacts,
): ReapEvidence | undefined {
  const receipt = taskId === null ? undefined : facts.receipts.get(taskId);
  if (receipt !== undefined && !receipt.keptImages.includes(object.ref)) return 'task-deleted';
  if (operation === undefined || operation.taskId !== taskId) return undefined;
  if (operation.state !== 'completed') return 'operation-ended';
  if (object.kind === 'image') return isOfDeleted(operation, facts) ? 'checkpoint-deleted' : undefined;
  return isReplaced(object, taskId, facts) ? 'replaced' : undefined;
}

/** True when the operation took a checkpoint whose row is gone. */
function isOfDeleted({ kind, outcome }: Operation, facts: ReapFacts): boolean {
  const id = outcome?.['checkpointId'];
  return (
    kind === 'checkpoint' && typeof id === 'string' && facts.checkpoints.every((checkpoint) => checkpoint.id !== id)
  );
}

/** True when the task's present sandbox was made by a restore that began after the object was made. */
function isReplaced(object: EngineObject, taskId: TaskId, facts: ReapFacts): boolean {
  const row = facts.sandboxes.find((sandbox) => sandbox.taskId === taskId);
  const made = row && facts.operations.get(row.operationId);
  if (made?.kind !== 'restore' || made.state !== 'completed') return false;
  return Date.parse(object.createdAt) < Date.parse(made.startedAt);
}

/** What ran and ended is removed at once by whoever had it made, unless that died: whatever else is under way. */
function judgeHelper(object: EngineObject, facts: ReapFacts): Verdict {
  if (object.endedAt != null) {
    return isYoung({ createdAt: object.endedAt }, facts) ? 'used' : { evidence: 'helper-idle' };
  }
  const filling = facts.pooled.some((entry) => entry.state === 'filling' && facts.isAlive(entry));
  if (facts.openOperations.length > 0 || filling) return 'used';
  return isYoung(object, facts) ? { reason: 'it serves no operation' } : { evidence: 'helper-idle' };
}

function isYoung({ createdAt }: Pick<EngineObject, 'createdAt'>, { nowMs, graceMs }: ReapFacts): boolean {
  return nowMs - Date.parse(createdAt) < graceMs;
}

/** What rows and checkpoints name, and what open operations are about to. */
function usedNames(facts: ReapFacts): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { ref, workspaceVolume, homeVolume, imageId } of facts.sandboxes) {
    for (const name of [ref, workspaceVolume, homeVolume, imageId]) if (name !== null) names.add(name);
  }
  for (const { root } of facts.checkpoints) if (root !== null) names.add(root.imageId).add(root.baseImageId);
  for (const { intent } of facts.openOperations) {
    const made = intent['madeVolumes'];
    for (const name of Array.isArray(made) ? made : []) if (typeof name === 'string') names.add(name);
    if (typeof intent['ref'] === 'string') names.add(intent['ref']);
  }
  return names;
}

/** A task's entry serves to tell whose its parts are; without parts, and past its operation, it serves nothing. */
function isSpent(entry: PooledSandbox, facts: ReapFacts, there: ReadonlySet<string>): boolean {
  if (entry.claim === null || facts.operations.get(entry.claim.operationId)?.state === 'open') return false;
  return [entry.ref, entry.workspaceVolume, entry.homeVolume].every((name) => name === null || !there.has(name));
}
