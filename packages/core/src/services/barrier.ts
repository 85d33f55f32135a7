import type { Lease, LeaseProof } from '../domain/session.ts';
import { type TaskId, shortId } from '../domain/ids.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import { OpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Fence, SandboxHandle } from '../ports/sandbox-runtime.ts';
import type { Kernel } from './kernel.ts';
import { endHold } from './pause-sandbox.ts';
import { awaitQuiet } from './quiet.ts';
import type { Call } from './services.ts';

/** Each attempt that fails means that somebody else passed the barrier. */
const maxAttempts = 10;

export interface BarrierOptions {
  /** How long the lease lasts from then on, when not for its ttl. */
  readonly forMs?: number;
  /** True raises the tokens of a task whose sandbox knows of newer ones than the registry: see `withRaisedTokens`. */
  readonly takeover?: boolean;
}

/**
 * The takeover barrier. The store has already raised the token; this writes it into the sandbox, ends whatever runs under
 * tokens that it excludes, and only then makes the new lease usable. Idempotent: a call that died half way is repeated.
 *
 * @returns how many processes were ended, as far as they were counted
 * @throws OpencodeToolsError `OCT_STALE_FENCING_TOKEN` when the sandbox was used under a newer registry than this one
 */
export async function passBarrier(
  kernel: Kernel,
  lease: Lease,
  call: Call,
  { forMs, takeover = false }: BarrierOptions = {},
): Promise<number> {
  if (lease.state === 'held') return 0;
  const { deps } = kernel;
  const sandbox = await deps.tasks.findSandbox(lease.taskId);
  const handle = sandbox?.ref == null ? undefined : await deps.runtime.find(sandbox.ref);
  const there = sandbox === undefined || handle === undefined ? undefined : { sandbox, handle };
  const ended = there === undefined ? 0 : await fenceSandbox(kernel, there, { lease, takeover }, call);
  await deps.leases.confirm(proofOf(lease), call.actor, forMs);
  return ended;
}

/**
 * The tokens that may act now: in exclusive mode that of the one active lease, in collaborative mode the oldest active one
 * and all newer ones but those that ended.
 */
export async function currentFence(kernel: Kernel, taskId: TaskId): Promise<Fence> {
  const tokens = (await kernel.deps.leases.listActive(taskId)).map((lease) => lease.token).sort((a, b) => a - b);
  const minToken = tokens[0] ?? 0;
  const active = new Set(tokens);
  const newest = tokens.at(-1) ?? minToken;
  const revoked: number[] = [];
  for (let token = minToken + 1; token < newest; token += 1) if (!active.has(token)) revoked.push(token);
  return { minToken, revoked };
}

export function proofOf(lease: Lease): LeaseProof {
  return { taskId: lease.taskId, sessionId: lease.sessionId, leaseId: lease.id, token: lease.token };
}

/** When another session raised the fence since the active leases were read, they are read again. */
async function raiseFence(kernel: Kernel, handle: SandboxHandle, taskId: TaskId): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return (await handle.fence(await currentFence(kernel, taskId))).ended;
    } catch (error) {
      if (attempt >= maxAttempts || !isOpencodeToolsError(error, 'OCT_STALE_FENCING_TOKEN')) throw error;
    }
  }
}

/** A container that goes away meanwhile takes everything that ran in it along. */
async function fenceSandbox(
  kernel: Kernel,
  { sandbox, handle }: { readonly sandbox: Sandbox; readonly handle: SandboxHandle },
  { lease, takeover }: { readonly lease: Lease; readonly takeover: boolean },
  call: Call,
): Promise<number> {
  try {
    const { state } = await handle.inspect();
    if (state === 'stopped' || state === 'failed' || state === 'creating') return 0;
    if (state === 'paused') {
      await awaitQuiet(kernel, lease.taskId, ['checkpoint'], call.signal);
      // Before it wakes: the monitor pauses what is held whenever it finds it awake.
      if (lease.mode === 'exclusive') await endHold(kernel, sandbox, call);
      await handle.unpause();
    }
    return await raiseFence(kernel, handle, lease.taskId);
  } catch (error) {
    if (isOpencodeToolsError(error, 'OCT_SANDBOX_NOT_FOUND')) return 0;
    if (!isOpencodeToolsError(error, 'OCT_STALE_FENCING_TOKEN')) throw error;
    if (takeover) {
      const seen = error.details['highestToken'];
      await kernel.deps.leases.raiseTokens(proofOf(lease), typeof seen === 'number' ? seen : 0, call.actor);
    }
    throw olderThanSandbox(lease.taskId, takeover, error);
  }
}

/**
 * Does once more what begins with a takeover, when its lease was of a registry older than the sandbox: the next one excludes whoever acts
 * under the newer tokens, as every takeover does. A fence is never lowered, for they may still be at work.
 */
export async function withRaisedTokens<T>(attempt: () => Promise<T>): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    if (!isOpencodeToolsError(error, 'OCT_STALE_FENCING_TOKEN') || error.details['tokensRaised'] !== true) throw error;
    return attempt();
  }
}

/** No token is in a sandbox before it is in the registry: this one was put back, or is a copy. */
function olderThanSandbox(taskId: TaskId, tokensRaised: boolean, cause: unknown): OpencodeToolsError {
  const id = shortId(taskId);
  return new OpencodeToolsError(
    'OCT_STALE_FENCING_TOKEN',
    `The sandbox of ${id} was used under a newer registry than that of this home`,
    {
      remedy: `The home was put back from a copy, or is one. To go on with it, ending what runs there: \`opencode-tools resume-task ${id} --takeover\` (attach_agent_to_task with takeover).`,
      details: { taskId, tokensRaised },
      cause,
    },
  );
}
