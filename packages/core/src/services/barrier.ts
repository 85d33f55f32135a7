import type { Lease, LeaseProof } from '../domain/session.ts';
import type { TaskId } from '../domain/ids.ts';
import type { Fence, SandboxHandle } from '../ports/sandbox-runtime.ts';
import type { Kernel } from './kernel.ts';
import type { Call } from './services.ts';

/**
 * The takeover barrier. The store has already raised the token; this writes it into the sandbox, ends whatever runs under
 * tokens that it excludes, and only then makes the new lease usable. Idempotent: a call that died half way is repeated.
 *
 * @returns how many processes were ended
 */
export async function passBarrier(kernel: Kernel, lease: Lease, call: Call): Promise<number> {
  if (lease.state === 'held') return 0;
  const { deps } = kernel;
  const sandbox = await deps.tasks.findSandbox(lease.taskId);
  const handle = sandbox?.ref == null ? undefined : await deps.runtime.find(sandbox.ref);
  const ended = handle === undefined ? 0 : await fenceSandbox(handle, await currentFence(kernel, lease.taskId));
  await deps.leases.confirm(proofOf(lease), call.actor);
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

async function fenceSandbox(handle: SandboxHandle, fence: Fence): Promise<number> {
  const { state } = await handle.inspect();
  if (state === 'stopped' || state === 'failed' || state === 'creating') return 0;
  if (state === 'paused') await handle.unpause();
  return (await handle.fence(fence)).ended;
}
