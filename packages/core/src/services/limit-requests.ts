import type { TaskId } from '../domain/ids.ts';
import { asJson } from '../domain/json.ts';
import type { LimitRequest, LiveLimits } from '../domain/sandbox-spec.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { applyLive, assertWithinMaximum } from './change-sandbox.ts';
import { type Kernel, draft } from './kernel.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, SandboxUpdate } from './services.ts';
import { freeText, invalid, resourceLimits } from './validate.ts';

/** Records a request for higher limits: what is asked for is checked now, so that granting it is a yes and nothing else. */
export async function requestLimits(
  kernel: Kernel,
  id: TaskId,
  { limits, reason }: { readonly limits: Partial<LiveLimits>; readonly reason: string },
  call: Call,
): Promise<LimitRequest> {
  const why = freeText('reason', reason, 2_000);
  assertWithinMaximum(kernel, limits);
  return kernel.changeTask(id, (current) => {
    const now = current.sandboxSpec.limits;
    const { memoryBytes, cpus, pids } = resourceLimits({ ...now, ...limits });
    if (memoryBytes <= now.memoryBytes && cpus <= now.cpus && pids <= now.pids)
      throw invalid('limits', 'are not higher than those in force', 'Ask for more, or lower limits without asking.');
    const requestedBy = call.actor.agent ?? call.actor.id;
    const request: LimitRequest = { limits: { memoryBytes, cpus, pids }, reason: why, requestedBy, at: kernel.now() };
    return { change: { records: [written(kernel, current, request, 'requested', call)] }, result: request };
  });
}

/**
 * A person's answer to a request for higher limits.
 *
 * @throws OpencodeToolsError `OCT_POLICY_DENIED` for an agent; `OCT_INVALID_ARGUMENT` when nothing was asked for
 */
export async function answerLimits(
  kernel: Kernel,
  keeper: SandboxKeeper,
  id: TaskId,
  { granted, reason }: { readonly granted: boolean; readonly reason?: string },
  call: Call,
): Promise<SandboxUpdate> {
  if (call.actor.kind === 'agent') throw notForAgents();
  const why = reason === undefined ? null : freeText('reason', reason, 2_000);
  const request = (await kernel.deps.tasks.getTask(id)).limitRequest ?? null;
  if (request === null) throw invalid('task', 'has no open request for limits', 'Ask `get_task_status` what is open.');
  if (granted) assertWithinMaximum(kernel, request.limits);
  const verb = granted ? 'granted' : 'denied';
  const task = await kernel.changeTask(id, (current) => {
    if (current.limitRequest?.at !== request.at) throw answeredMeanwhile(id);
    const record = written(kernel, current, null, verb, call, { request: asJson(request), reason: why });
    return { change: { records: [record] }, result: { ...current, version: current.version + 1 } };
  });
  if (!granted) return { task, applied: 'unchanged' };
  const { sandboxSpec } = task;
  const spec = { ...sandboxSpec, limits: { ...sandboxSpec.limits, ...request.limits } };
  return applyLive(kernel, keeper, await kernel.deps.tasks.getTask(id), spec, null, call);
}

function written(
  kernel: Kernel,
  current: Task,
  limitRequest: LimitRequest | null,
  verb: 'requested' | 'granted' | 'denied',
  call: Call,
  detail = limitRequest === null ? {} : asJson(limitRequest),
) {
  const value: Task = { ...current, limitRequest, version: current.version + 1, updatedAt: kernel.now() };
  return draft({ stream: current.id, type: `sandbox.limits_${verb}`, call, puts: [{ noun: 'task', value }], detail });
}

function notForAgents(): OpencodeToolsError {
  return new OpencodeToolsError('OCT_POLICY_DENIED', 'A request for limits is answered by a person, not by an agent', {
    remedy: 'A person answers with `opencode-tools sandbox grant` or `opencode-tools sandbox deny`.',
  });
}

function answeredMeanwhile(id: TaskId): OpencodeToolsError {
  return new OpencodeToolsError('OCT_VERSION_CONFLICT', `The request of ${id} was answered or replaced meanwhile`, {
    details: { taskId: id },
  });
}
