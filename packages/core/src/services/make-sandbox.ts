import type { CheckpointId } from '../domain/ids.ts';
import { type JsonObject, asJson } from '../domain/json.ts';
import type { Operation, OperationKind } from '../domain/operation.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { Task } from '../domain/task.ts';
import type { RecordDraft } from '../ledger/ledger-record.ts';
import type { Put } from '../ledger/put.ts';
import type { SandboxHandle, SandboxPlan } from '../ports/sandbox-runtime.ts';
import { allEnded } from './all-ended.ts';
import { cacheMounts } from './caches.ts';
import { currentFence } from './barrier.ts';
import type { IdempotencyKey } from './idempotent.ts';
import type { Kernel } from './kernel.ts';
import { explainMaking } from './lost-work.ts';
import { removeTraces } from './remove-traces.ts';
import { runHooks } from './run-hooks.ts';
import { runOperation } from './run-operation.ts';
import {
  type PlanFacts,
  type StartingPoint,
  objectLabels,
  planSandbox,
  sandboxRow,
  volumeNames,
} from './sandbox-plan.ts';
import { storeOf, withRecipes } from './volume-keeping.ts';
import { claimPooled } from './pool/claim-pooled.ts';
import { poolSpec } from './pool/pool-spec.ts';
import type { WarmPool } from './pool/warm-pool.ts';
import type { Call } from './services.ts';
import type { LeasedWork } from './with-lease.ts';

/** Volumes that exist and are mounted as they are; null means that a new one is made from the starting point. */
export interface KeptVolumes {
  readonly workspace: string | null;
  readonly home: string | null;
}

export interface MakeSandbox {
  readonly kind: Extract<OperationKind, 'sandbox' | 'restore'>;
  readonly task: Task;
  readonly start: StartingPoint;
  /** The row before; null for the first sandbox of a task. */
  readonly previous: Sandbox | null;
  readonly keep: KeptVolumes;
  /** What is restored. */
  readonly checkpoint?: CheckpointId;
  /** Why, for the record: what was lost, which checkpoint is restored. */
  readonly detail: JsonObject;
  /** Where a sandbox may be taken from that is ready already. */
  readonly pool?: WarmPool;
  /** Done after the request is recorded and before the new sandbox is made. */
  readonly prepare?: () => Promise<void>;
  /** Further rows of the transaction that finishes the operation. */
  readonly finish?: () => Promise<readonly Put[]>;
  /** Further records of it. */
  readonly records?: readonly RecordDraft[];
  /** Of the verb that this is all of, and what it gives again. */
  readonly key?: IdempotencyKey;
  readonly stored?: JsonObject;
}

/**
 * Makes a sandbox; a second time when the engine had only lost what is made again, such as the layers that volumes begin with.
 *
 * @throws OpencodeToolsError `OCT_WORKSPACE_LOST`, `OCT_CHECKPOINT_CORRUPT` for work that is gone from the engine, with the ways out
 */
export async function makeSandbox(
  kernel: Kernel,
  input: MakeSandbox,
  leased: LeasedWork,
  call: Call,
): Promise<SandboxHandle> {
  try {
    return await makeOnce(kernel, input, leased, call);
  } catch (error) {
    const explained = await explainMaking(kernel, input, error);
    if (explained !== 'make again') throw explained;
    // An operation that the caller's key names is made once.
    if (input.key?.operationId !== undefined) throw error;
    return makeAgain(kernel, input, leased, call);
  }
}

/**
 * Makes a sandbox as one operation: requested, made idempotently under the operation's id, recorded. On failure the half-made
 * parts are removed and the row says `failed`; nothing that held work is touched.
 */
async function makeOnce(kernel: Kernel, input: MakeSandbox, leased: LeasedWork, call: Call): Promise<SandboxHandle> {
  const { task, kind, previous } = input;
  const { session, proof } = leased;
  const planned = kernel.newOperation(kind, task.id, proof, {}, input.key?.operationId);
  const facts = await planFacts(kernel, input, planned);
  const plan = await guardMounts(kernel, task, await withNetworkFiles(kernel, task, planSandbox(facts)));
  const context = { point: 'sandbox:creating', task, agent: session.agent, model: session.model, plan } as const;
  const hooks = await runHooks(kernel, { ...context, sessionId: session.id }, { stream: task.id, call, proof });
  // A pooled sandbox lacks the files by which one finds its gateway, and would ask the engine for names.
  const warm = plan.networkFiles === undefined ? input.pool && poolSpec(plan, facts, input.start) : undefined;
  if (input.pool && warm) {
    const row = sandboxRow(facts, kernel.deps.runtime.name, kernel.now());
    const claim = {
      operation: planned,
      excludes,
      spec: warm,
      fence: facts.fence,
      row,
      detail: { ...input.detail, ...hooks },
    };
    const claimed = await claimPooled(kernel, input.pool, claim, leased, call);
    input.pool.note(warm);
    if (claimed === 'broken') return makeAgain(kernel, input, leased, call);
    if (claimed !== undefined) return claimed;
  }
  const intent = { container: plan.name, madeVolumes: newVolumes(facts, input.keep), ...input.detail };
  const operation: Operation = { ...planned, intent };
  const row = sandboxRow(facts, kernel.deps.runtime.name, kernel.now());
  // A restore leaves the row of the sandbox that it replaces until the new one stands.
  const rowPut = (sandbox: Sandbox): readonly Put[] =>
    kind === 'sandbox' ? [{ noun: 'sandbox', value: sandbox }] : [];
  return runOperation(
    kernel,
    {
      operation,
      excludes,
      checkpoint: input.checkpoint,
      puts: rowPut(row),
      detail: { ...intent, ...hooks },
      key: input.key,
    },
    leased,
    call,
    async () => {
      await input.prepare?.();
      const handle = await build(kernel, input, plan, facts, leased, call);
      const { forgeableResults } = handle;
      const workspaceStore = await storeOf(kernel, facts.workspaceVolume, input.keep.workspace !== null);
      const sandbox: Sandbox = { ...row, state: 'running', ref: handle.ref, updatedAt: kernel.now() };
      return {
        result: handle,
        outcome: { ref: handle.ref, forgeableResults, workspaceStore: asJson(workspaceStore) },
        detail: { ...input.detail, ref: handle.ref, generation: sandbox.generation, forgeableResults },
        puts: async () => [{ noun: 'sandbox', value: sandbox } as const, ...((await input.finish?.()) ?? [])],
        ...(input.records === undefined ? {} : { records: input.records }),
        ...(input.stored === undefined ? {} : { stored: input.stored }),
      };
    },
    {
      puts: () => rowPut(failedRow(row, previous, input.keep, kernel.now())),
      clear: () => removeTraces(kernel, operation),
      clearsOwn: true,
    },
  );
}

/** Without the pool. The row of a first sandbox says now that it failed; the next one is the next generation. */
async function makeAgain(
  kernel: Kernel,
  { pool: _pool, ...input }: MakeSandbox,
  leased: LeasedWork,
  call: Call,
): Promise<SandboxHandle> {
  const row = (await kernel.deps.tasks.findSandbox(input.task.id)) ?? null;
  const previous = input.kind === 'restore' ? input.previous : row;
  return makeOnce(kernel, { ...input, previous }, leased, call);
}

const excludes: readonly OperationKind[] = ['sandbox', 'restore', 'checkpoint', 'egress', 'deletion'];

async function planFacts(kernel: Kernel, input: MakeSandbox, operation: Operation): Promise<PlanFacts> {
  const { task, keep, start } = input;
  const generation = (input.previous?.generation ?? 0) + 1;
  const fresh = volumeNames(task, generation, operation.id);
  const workspaceVolume = task.workspace.mode === 'volume' ? (keep.workspace ?? fresh.workspace) : null;
  const homeVolume = keep.home ?? fresh.home;
  // How each is asked for is known only when it comes to it: a pooled sandbox has its own.
  const emptyVolumes = new Set([
    ...(workspaceVolume !== null && keep.workspace === null && start.workspace === null ? [workspaceVolume] : []),
    ...(keep.home === null && start.home === null ? [homeVolume] : []),
  ]);
  const fence = await currentFence(kernel, task.id);
  const { imageId } = start;
  const { homeId } = kernel.deps;
  return {
    homeId,
    task,
    operationId: operation.id,
    generation,
    imageId,
    workspaceVolume,
    homeVolume,
    emptyVolumes,
    fence,
    caches: cacheMounts(kernel, task),
  };
}

/** Volumes that held work before stay with the row; those of this operation are removed with it. */
function failedRow(row: Sandbox, previous: Sandbox | null, keep: KeptVolumes, at: string): Sandbox {
  const imageId = previous?.imageId ?? row.imageId;
  return {
    ...row,
    imageId,
    state: 'failed',
    ref: null,
    workspaceVolume: keep.workspace,
    homeVolume: keep.home,
    updatedAt: at,
  };
}

function newVolumes(facts: PlanFacts, keep: KeptVolumes): readonly string[] {
  return [facts.workspaceVolume, facts.homeVolume].filter(
    (volume) => volume !== null && volume !== keep.workspace && volume !== keep.home,
  ) as readonly string[];
}

async function withNetworkFiles(kernel: Kernel, task: Task, plan: SandboxPlan): Promise<SandboxPlan> {
  const networkFiles = await kernel.deps.egress.prepare(task);
  return networkFiles === undefined ? plan : { ...plan, networkFiles };
}

/** Paths through which the sandbox could make programs on the host run code are mounted over themselves. */
async function guardMounts(kernel: Kernel, task: Task, plan: SandboxPlan): Promise<SandboxPlan> {
  if (task.workspace.mode !== 'bind') return plan;
  const guarded = await kernel.deps.workspaces.guardDirectory(task.workspace.path);
  const mounts = guarded.map(({ path, readOnly }) => ({ kind: 'bind', source: path, target: path, readOnly }) as const);
  return { ...plan, mounts: [...plan.mounts, ...mounts] };
}

async function build(
  kernel: Kernel,
  { task, start, keep }: MakeSandbox,
  plan: SandboxPlan,
  facts: PlanFacts,
  leased: LeasedWork,
  call: Call,
): Promise<SandboxHandle> {
  const { workspaces, runtime, homeId } = kernel.deps;
  const provision = async (volume: string, kind: string, snapshotId: string): Promise<void> => {
    call.onProgress?.(`filling the ${kind}`);
    const labels = objectLabels(homeId, task, plan.operationId, kind);
    await workspaces.provision({ volume, labels, owner: plan.user, snapshotId, signal: leased.signal });
  };
  const fill = allEnded(
    facts.workspaceVolume !== null && keep.workspace === null && start.workspace !== null
      ? provision(facts.workspaceVolume, 'workspace', start.workspace.id)
      : Promise.resolve(),
    keep.home === null && start.home !== null ? provision(facts.homeVolume, 'home', start.home.id) : Promise.resolve(),
  );
  const [reserved] = await allEnded(withRecipes(kernel, plan, [...facts.emptyVolumes]), fill);
  call.onProgress?.('starting the sandbox');
  return runtime.create(reserved, { signal: leased.signal });
}
