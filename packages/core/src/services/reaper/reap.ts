import type { JsonObject } from '../../domain/json.ts';
import { asOpencodeToolsError } from '../../errors/opencode-tools-error.ts';
import { type Kernel, draft } from '../kernel.ts';
import { discard } from '../pool/pooled-parts.ts';
import type { Call } from '../services.ts';
import { type Leftover, type ReapPlan, type Removal, planReaping } from './plan-reaping.ts';
import { gatherFacts } from './reap-facts.ts';

export interface ReapOptions {
  /** Objects younger than this are left alone, in ms. */
  readonly graceMs: number;
  /** True only says what would go. */
  readonly dryRun: boolean;
  /** When this process opened the home, by the clock of the process. */
  readonly openedAtMs: number;
  /** What is not tried again, by what the engine removes it by. */
  readonly passOver?: ReadonlySet<string>;
}

export interface ReapReport {
  readonly dryRun: boolean;
  /** What went, or would go. */
  readonly removed: readonly Removal[];
  /** What could not be removed now; the next turn tries again. */
  readonly failed: readonly { readonly removal: Removal; readonly message: string }[];
  /** Entries of the pool that went with what belonged to them. */
  readonly entries: number;
  readonly unknown: readonly Leftover[];
  readonly unknownMemory: ReapPlan['unknownMemory'];
  /** Why nothing was removed, such as a registry that is new; null when things could be. */
  readonly untrusted: string | null;
}

/** A process that makes or rebuilds a registry opens it within this time. */
const openingMs = 60_000;
const freshRegistry = 'the registry was made or rebuilt less than a minute before this process opened it';

/**
 * Compares registry, engine and disk, and removes what is provably finished. The receipt is a record of the home that is
 * committed before anything goes; a process killed in between leaves what the next one finds again. When the registry was
 * restored, rebuilt or moved since it was read, nothing goes.
 */
export async function reap(kernel: Kernel, options: ReapOptions, call: Call): Promise<ReapReport> {
  const { graceMs, dryRun, passOver } = options;
  const { epoch } = kernel.deps.tasks;
  const plan = planReaping(await gatherFacts(kernel, { graceMs, untrusted: await distrust(kernel, options) }));
  const { kept, removals } = await keepUnsaved(kernel, plan.removals);
  const due = removals.filter(({ object }) => passOver?.has(object.ref) !== true);
  const report: ReapReport = {
    dryRun,
    removed: due,
    failed: [],
    entries: plan.entries.length,
    unknown: [...plan.unknown, ...kept],
    unknownMemory: plan.unknownMemory,
    untrusted: plan.untrusted,
  };
  return dryRun ? report : { ...report, ...(await carryOut(kernel, plan, due, epoch, call)) };
}

/** Commits the receipt, removes, and records what went. */
async function carryOut(
  kernel: Kernel,
  plan: ReapPlan,
  due: readonly Removal[],
  epoch: number,
  call: Call,
): Promise<Pick<ReapReport, 'removed' | 'failed' | 'entries'>> {
  if (due.length > 0) await record(kernel, 'object.reaping', { objects: due.map(toJson) }, epoch, call);
  const removed: Removal[] = [];
  const failed: { removal: Removal; message: string }[] = [];
  const attempt = async (removals: readonly Removal[], act: () => Promise<unknown>): Promise<boolean> => {
    try {
      if ((await act()) === false) return false;
      removed.push(...removals);
      return true;
    } catch (error) {
      const { message } = asOpencodeToolsError(error);
      failed.push(...removals.map((removal) => ({ removal, message })));
      return false;
    }
  };
  let entries = 0;
  for (const entry of plan.entries) {
    const parts = due.filter(({ object }) => object.operationId === entry.id);
    if (await attempt(parts, () => discard(kernel, entry))) entries += 1;
  }
  // What belongs to an entry went with it, or stays until nobody can claim it any more.
  const ofEntries = new Set<string | null>(plan.entries.map(({ id }) => id));
  for (const removal of inOrder(due)) {
    if (!ofEntries.has(removal.object.operationId)) await attempt([removal], () => remove(kernel, removal));
  }
  for (const entry of plan.spent) await kernel.deps.housekeeping.removePooled(entry);
  const detail = { removed: removed.map(toJson), failed: failed.map(({ removal }) => removal.object.name) };
  if (due.length > 0) await record(kernel, 'object.reaped', detail, epoch, call);
  return { removed, failed, entries };
}

/** A registry that was made or made again just now says nothing about what it does not know. */
async function distrust(kernel: Kernel, { openedAtMs, graceMs }: ReapOptions): Promise<string | null> {
  const { createdAt } = await kernel.deps.admin.status();
  const madeAtMs = Date.parse(createdAt);
  if (madeAtMs > openedAtMs - openingMs) return freshRegistry;
  return kernel.deps.clock.nowMs() - madeAtMs < graceMs ? 'the registry is younger than the grace time' : null;
}

/**
 * Takes out the containers that stay in spite of the evidence: changes of a root file system that nothing has saved are
 * somebody's work, however the operation ended, and what is not made as we make sandboxes is not ours to remove.
 */
async function keepUnsaved(
  kernel: Kernel,
  all: readonly Removal[],
): Promise<{ readonly kept: readonly Leftover[]; readonly removals: readonly Removal[] }> {
  const kept: Leftover[] = [];
  const removals: Removal[] = [];
  for (const removal of all) {
    const reason = removal.object.kind === 'container' ? await reasonToKeep(kernel, removal) : undefined;
    if (reason === undefined) removals.push(removal);
    else kept.push({ object: removal.object, reason });
  }
  return { kept, removals };
}

async function reasonToKeep(kernel: Kernel, { object, evidence }: Removal): Promise<string | undefined> {
  const handle = await kernel.deps.runtime.find(object.ref);
  if (handle === undefined) return 'it is not made as sandboxes are';
  if (evidence !== 'operation-ended') return undefined;
  const { length } = await handle.rootChanges();
  return length === 0 ? undefined : `its root file system has ${length} changes that nothing saved`;
}

async function remove(kernel: Kernel, { object }: Removal): Promise<void> {
  const { runtime, images, egress } = kernel.deps;
  switch (object.kind) {
    case 'container':
      await (await runtime.find(object.ref))?.destroy();
      break;
    case 'helper':
      await runtime.removeHelper(object.ref);
      break;
    case 'volume':
    case 'view':
      await runtime.volumes.remove(object.ref);
      break;
    case 'network':
      if (object.taskId !== null) await egress.release(object.taskId, null);
      break;
    case 'image':
      await images.remove(object.ref);
  }
}

/** Volumes and networks cannot go before their container. */
function inOrder(removals: readonly Removal[]): readonly Removal[] {
  const order = ['helper', 'container', 'view', 'volume', 'network', 'image'];
  return removals.toSorted((a, b) => order.indexOf(a.object.kind) - order.indexOf(b.object.kind));
}

async function record(
  kernel: Kernel,
  type: 'object.reaping' | 'object.reaped',
  detail: JsonObject,
  epoch: number,
  call: Call,
) {
  await kernel.commit({ epoch, records: [draft({ stream: 'home', type, call, detail })] });
}

function toJson({ object, evidence }: Removal): JsonObject {
  const { kind, name, ref, taskId, operationId } = object;
  return { kind, name, ref, taskId, operationId, evidence };
}
