import type { JsonObject } from '../../domain/json.ts';
import type { Operation } from '../../domain/operation.ts';
import type { PooledSandbox } from '../../domain/pooled-sandbox.ts';
import type { Sandbox } from '../../domain/sandbox.ts';
import { OpencodeToolsError, isOpencodeToolsError } from '../../errors/opencode-tools-error.ts';
import type { Fence, SandboxHandle } from '../../ports/sandbox-runtime.ts';
import type { Kernel } from '../kernel.ts';
import { removeTraces } from '../remove-traces.ts';
import { type OperationRequest, runOperation } from '../run-operation.ts';
import type { Call } from '../services.ts';
import type { LeasedWork } from '../with-lease.ts';
import type { PoolSpec } from './pool-spec.ts';
import type { Offer, WarmPool } from './warm-pool.ts';

export interface PoolClaim {
  readonly operation: Operation;
  readonly excludes: OperationRequest['excludes'];
  readonly spec: PoolSpec;
  readonly fence: Fence;
  /** The row that a new sandbox would have. */
  readonly row: Sandbox;
  readonly detail: JsonObject;
}

/**
 * Takes a ready sandbox of the pool for a task: the transaction that requests the operation also takes the entry, so that
 * of all who want it exactly one has it; the fence is written, and from then on the sandbox takes commands.
 *
 * @returns undefined when there is none; `broken` when the one that was taken turned out to be dead, which is recorded
 */
export async function claimPooled(
  kernel: Kernel,
  pool: WarmPool,
  claim: PoolClaim,
  leased: LeasedWork,
  call: Call,
): Promise<SandboxHandle | 'broken' | undefined> {
  for await (const offer of pool.offers(claim.spec.key)) {
    const progress = { begun: false };
    try {
      return await take(kernel, offer, claim, progress, leased, call);
    } catch (error) {
      if (progress.begun) {
        if (isDead(error)) return 'broken';
        throw error;
      }
      if (!isTaken(error, offer.entry)) {
        await pool.giveBack(offer);
        throw error;
      }
      await pool.letGo(offer);
    }
  }
  return undefined;
}

async function take(
  kernel: Kernel,
  { entry, handle, paused }: Offer,
  { operation, excludes, fence, row, detail }: PoolClaim,
  progress: { begun: boolean },
  leased: LeasedWork,
  call: Call,
): Promise<SandboxHandle> {
  const { workspaceVolume, homeVolume, ref } = entry;
  const claim = { taskId: row.taskId, operationId: operation.id };
  const takes: PooledSandbox = { ...entry, state: 'claimed', version: entry.version + 1, claim };
  const madeVolumes = [workspaceVolume, homeVolume];
  const intent = { container: entry.name, ref, madeVolumes, pooled: entry.id, ...detail };
  const creating: Sandbox = { ...row, workspaceVolume, homeVolume };
  const request = { operation: { ...operation, intent }, excludes, detail: intent, takes };
  return runOperation(
    kernel,
    { ...request, puts: [{ noun: 'sandbox', value: creating }] },
    leased,
    call,
    async () => {
      progress.begun = true;
      if (paused) await handle.unpause();
      await handle.fence(fence);
      const { forgeableResults } = handle;
      const sandbox: Sandbox = { ...creating, state: 'running', ref: handle.ref, updatedAt: kernel.now() };
      const made = { ref: handle.ref, generation: sandbox.generation, forgeableResults, pooled: entry.id };
      return {
        result: handle,
        outcome: { ref: handle.ref, forgeableResults },
        detail: { ...detail, ...made },
        puts: () => [{ noun: 'sandbox', value: sandbox }],
      };
    },
    {
      puts: () => {
        const lost = { workspaceVolume: null, homeVolume: null, ref: null, updatedAt: kernel.now() };
        return [{ noun: 'sandbox', value: { ...creating, ...lost, state: 'failed' } }];
      },
      clear: () => removeTraces(kernel, request.operation),
      clearsOwn: true,
    },
  );
}

function isTaken(error: unknown, entry: PooledSandbox): boolean {
  return (
    isOpencodeToolsError(error, 'OCT_VERSION_CONFLICT') &&
    error instanceof OpencodeToolsError &&
    error.details['id'] === entry.id
  );
}

/** The container was stopped or removed behind our back, or takes nothing any more. */
function isDead(error: unknown): boolean {
  return isOpencodeToolsError(error, 'OCT_SANDBOX_NOT_FOUND') || isOpencodeToolsError(error, 'OCT_RESOURCE_LIMIT');
}
