import type { Sandbox } from '../domain/sandbox.ts';
import type { OperationKind } from '../domain/operation.ts';
import type { Operation } from '../domain/operation.ts';
import { asJson } from '../domain/json.ts';
import type { Task } from '../domain/task.ts';
import { asOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Put } from '../ledger/put.ts';
import type { SandboxHandle, SandboxPlan } from '../ports/sandbox-runtime.ts';
import { currentFence } from './barrier.ts';
import { type Kernel, draft, finished, leaseGuard } from './kernel.ts';
import { runHooks } from './run-hooks.ts';
import {
  type PlanFacts,
  type StartingPoint,
  objectLabels,
  planSandbox,
  sandboxRow,
  volumeNames,
} from './sandbox-plan.ts';
import type { Call } from './services.ts';
import type { LeasedWork } from './with-lease.ts';

export interface MakeSandbox {
  readonly kind: Extract<OperationKind, 'sandbox' | 'restore'>;
  readonly task: Task;
  readonly start: StartingPoint;
  /** The row before; null for the first sandbox of a task. */
  readonly previous: Sandbox | null;
  /** True mounts the volumes that the previous sandbox had; false makes new ones from the starting point. */
  readonly reuseVolumes: boolean;
  /** Why, for the record: what was lost, which checkpoint is restored. */
  readonly detail: Readonly<Record<string, string | number | null>>;
  /** Done after the request is recorded and before the new sandbox is made. */
  readonly prepare?: () => Promise<void>;
  /** Further rows and idempotency of the transaction that finishes the operation. */
  readonly finish?: (operation: Operation) => Promise<{ readonly puts: readonly Put[] }>;
}

/**
 * Makes a sandbox as one operation: requested, made idempotently under the operation's id, recorded. On failure the half-made
 * parts are removed and the row says `failed`; nothing that held work is touched.
 */
export async function makeSandbox(
  kernel: Kernel,
  input: MakeSandbox,
  leased: LeasedWork,
  call: Call,
): Promise<{ handle: SandboxHandle; sandbox: Sandbox }> {
  const { deps } = kernel;
  const operation = kernel.newOperation(input.kind, input.task.id, leased.proof, {});
  const facts = await planFacts(kernel, input, operation);
  const plan = await guardMounts(kernel, input.task, planSandbox(facts));
  const hooks = await runHooks(
    kernel,
    {
      point: 'sandbox:creating',
      task: input.task,
      agent: leased.session.agent,
      model: leased.session.model,
      sessionId: leased.session.id,
      plan,
    },
    { stream: input.task.id, call, proof: leased.proof },
  );
  const intent = {
    container: plan.name,
    workspaceVolume: facts.workspaceVolume,
    homeVolume: facts.homeVolume,
    reuseVolumes: input.reuseVolumes,
    ...input.detail,
  };
  const open: Operation = { ...operation, intent };
  const row = sandboxRow(facts, deps.runtime.name, kernel.now());
  await kernel.commit({
    guard: {
      ...leaseGuard(leased.proof),
      noOpenOperation: { taskId: input.task.id, kinds: ['sandbox', 'restore', 'deletion'] },
    },
    records: [
      draft({
        stream: input.task.id,
        type: `${input.kind}.requested`,
        call,
        proof: leased.proof,
        operationId: open.id,
        // A restore keeps the row of the sandbox that it replaces until the new one stands.
        puts: [
          { noun: 'operation', value: open },
          ...(input.kind === 'sandbox' ? [{ noun: 'sandbox', value: row } as const] : []),
        ],
        detail: { ...intent, ...hooks },
      }),
    ],
  });
  try {
    await input.prepare?.();
    const handle = await build(kernel, input, plan, facts, leased, call);
    const sandbox: Sandbox = { ...row, state: 'running', ref: handle.ref, updatedAt: kernel.now() };
    const extra = (await input.finish?.(open))?.puts ?? [];
    await kernel.commit({
      guard: { ...leaseGuard(leased.proof), openOperation: open.id },
      records: [
        draft({
          stream: input.task.id,
          type: `${input.kind}.completed`,
          call,
          proof: leased.proof,
          operationId: open.id,
          puts: [
            { noun: 'operation', value: finished(open, 'completed', { ref: handle.ref }, kernel.now()) },
            { noun: 'sandbox', value: sandbox },
            ...extra,
          ],
          detail: { ...input.detail, ref: handle.ref, generation: sandbox.generation },
        }),
      ],
    });
    return { handle, sandbox };
  } catch (error) {
    await abandon(kernel, input, open, row, error, leased, call);
    throw error;
  }
}

async function planFacts(kernel: Kernel, input: MakeSandbox, operation: Operation): Promise<PlanFacts> {
  const generation = (input.previous?.generation ?? 0) + 1;
  const fresh = volumeNames(input.task, generation, operation.id);
  const reused = input.reuseVolumes ? input.previous : null;
  return {
    homeId: kernel.deps.homeId,
    task: input.task,
    operationId: operation.id,
    generation,
    imageId: input.start.imageId,
    workspaceVolume: input.task.workspace.mode === 'volume' ? (reused?.workspaceVolume ?? fresh.workspace) : null,
    homeVolume: reused?.homeVolume ?? fresh.home,
    fence: await currentFence(kernel, input.task.id),
  };
}

/** Paths through which the sandbox could make git on the host run code are mounted over themselves read-only. */
async function guardMounts(kernel: Kernel, task: Task, plan: SandboxPlan): Promise<SandboxPlan> {
  if (task.workspace.mode !== 'bind') return plan;
  const guarded = await kernel.deps.git.guardedPaths(task.workspace.path);
  const mounts = guarded.map((path) => ({ kind: 'bind', source: path, target: path, readOnly: true }) as const);
  return { ...plan, mounts: [...plan.mounts, ...mounts] };
}

async function build(
  kernel: Kernel,
  input: MakeSandbox,
  plan: SandboxPlan,
  facts: PlanFacts,
  leased: LeasedWork,
  call: Call,
): Promise<SandboxHandle> {
  const { workspaces, runtime } = kernel.deps;
  if (!input.reuseVolumes) {
    const common = { owner: plan.user, signal: leased.signal };
    const labels = (kind: string): Readonly<Record<string, string>> =>
      objectLabels(kernel.deps.homeId, input.task, plan.operationId, kind);
    call.onProgress?.('preparing the workspace');
    if (facts.workspaceVolume !== null) {
      await workspaces.provision({
        ...common,
        volume: facts.workspaceVolume,
        labels: labels('workspace'),
        snapshotId: input.start.workspace?.id ?? null,
      });
    }
    await workspaces.provision({
      ...common,
      volume: facts.homeVolume,
      labels: labels('home'),
      snapshotId: input.start.home?.id ?? null,
    });
  }
  call.onProgress?.('starting the sandbox');
  return runtime.create(plan, { signal: leased.signal });
}

/** Undoes the effect as far as it went and records the failure; what cannot be undone now is left to recovery. */
async function abandon(
  kernel: Kernel,
  input: MakeSandbox,
  open: Operation,
  row: Sandbox,
  error: unknown,
  leased: LeasedWork,
  call: Call,
): Promise<void> {
  const { message, code } = asOpencodeToolsError(error);
  try {
    await removeTraces(kernel, open);
    const failed: Sandbox = input.previous ?? {
      ...row,
      state: 'failed',
      workspaceVolume: null,
      homeVolume: null,
      updatedAt: kernel.now(),
    };
    await kernel.commit({
      guard: { ...leaseGuard(leased.proof), openOperation: open.id },
      records: [
        draft({
          stream: input.task.id,
          type: `${input.kind}.failed`,
          call,
          operationId: open.id,
          puts: [
            { noun: 'operation', value: finished(open, 'failed', { code, message }, kernel.now()) },
            ...(input.kind === 'sandbox' ? [{ noun: 'sandbox', value: failed } as const] : []),
          ],
          detail: asJson({ code, message }),
        }),
      ],
    });
  } catch (second) {
    kernel.deps.logger.warn('A failed operation stays open for recovery', {
      operationId: open.id,
      error: String(second),
    });
  }
}

/** Removes the container and the new volumes of an operation that did not complete. Idempotent. */
export async function removeTraces(kernel: Kernel, operation: Operation): Promise<void> {
  const { runtime, homeId } = kernel.deps;
  for (const facts of await runtime.list({ homeId, taskId: operation.taskId, operationId: operation.id })) {
    await (await runtime.find(facts.ref))?.destroy();
  }
  if (operation.intent['reuseVolumes'] === true) return;
  for (const member of ['workspaceVolume', 'homeVolume']) {
    const volume = operation.intent[member];
    if (typeof volume === 'string') await runtime.volumes.remove(volume);
  }
}
