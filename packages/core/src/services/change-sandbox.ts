import type { TaskId } from '../domain/ids.ts';
import { asJson } from '../domain/json.ts';
import type { JsonObject } from '../domain/json.ts';
import { type LiveLimits, type ResourceLimits, type SandboxSpec, defaultMaxLimits } from '../domain/sandbox-spec.ts';
import type { LeaseProof } from '../domain/session.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { canonicalJson } from '../ledger/canonical-json.ts';
import type { RecordType } from '../ledger/ledger-record.ts';
import { assertRuntime } from './assert-runtime.ts';
import { type Kernel, draft, leaseGuard } from './kernel.ts';
import { releaseSandbox } from './pause-sandbox.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import { destroySandbox } from './sandbox-service.ts';
import type { Call, SandboxSettings, SandboxUpdate, UnderSession } from './services.ts';
import { invalid, resourceLimits } from './validate.ts';
import { withLease } from './with-lease.ts';

const liveNames = ['memoryBytes', 'cpus', 'pids'] as const satisfies readonly (keyof LiveLimits)[];

type ChangeOptions = UnderSession & { readonly recreate?: boolean };

/**
 * Changes settings of a task's sandbox: limits while it runs, the rest by a new container. Limits need no lease; with a session they
 * change under its lease.
 */
export async function changeSandbox(
  kernel: Kernel,
  keeper: SandboxKeeper,
  id: TaskId,
  settings: SandboxSettings,
  options: ChangeOptions,
  call: Call,
): Promise<SandboxUpdate> {
  const task = await kernel.deps.tasks.getTask(id);
  const { sessionId } = options;
  if (sessionId === undefined) return change(kernel, keeper, task, settings, options, null, call);
  return withLease(kernel, task, { sessionId, sandbox: false }, call, ({ proof }) =>
    change(kernel, keeper, task, settings, options, proof, call),
  );
}

async function change(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  settings: SandboxSettings,
  options: ChangeOptions,
  proof: LeaseProof | null,
  call: Call,
): Promise<SandboxUpdate> {
  const { id } = task;
  const spec = merged(task.sandboxSpec, settings);
  assertAllowed(kernel, task.sandboxSpec.limits, spec.limits, call);
  if (spec.runtime !== task.sandboxSpec.runtime) await assertRuntime(kernel, spec.runtime);
  if (canonicalJson(asJson(spec)) === canonicalJson(asJson(task.sandboxSpec))) return { task, applied: 'unchanged' };
  const sandbox = await kernel.deps.tasks.findSandbox(id);
  if (sandbox?.ref == null) return { task: await writeSpec(kernel, id, spec, proof, call), applied: 'next-start' };
  if (!needsContainer(task.sandboxSpec, spec)) return applyLive(kernel, keeper, task, spec, proof, call);
  if (options.recreate !== true) throw needsRecreate();
  const { sessionId } = options;
  return withLease(kernel, task, { sessionId, sandbox: true }, call, async (leased) => {
    await destroySandbox(kernel, keeper, id, leased, call);
    const changed = await writeSpec(kernel, id, spec, leased.proof, call);
    await keeper.ensureRunning(changed, leased, call);
    return { task: changed, applied: 'recreated' };
  });
}

/** Writes the limits down, then sets them; what the engine refuses is taken back. */
export async function applyLive(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  spec: SandboxSpec,
  proof: LeaseProof | null,
  call: Call,
): Promise<SandboxUpdate> {
  const changed = await writeSpec(kernel, task.id, spec, proof, call);
  const found = await keeper.find(task.id);
  if (found === undefined) return { task: changed, applied: 'next-start' };
  try {
    await found.handle.update(spec.limits);
  } catch (error) {
    await writeSpec(kernel, task.id, task.sandboxSpec, null, call, 'sandbox.limits_restored');
    throw error;
  }
  if (found.sandbox.hold != null) await releaseSandbox(kernel, keeper, task.id, call);
  return { task: changed, applied: 'live' };
}

/**
 * Limits may be anything up to the maximum; only people raise them.
 *
 * @throws OpencodeToolsError `OCT_RESOURCE_LIMIT`, `OCT_POLICY_DENIED`
 */
function assertAllowed(kernel: Kernel, before: ResourceLimits, after: ResourceLimits, call: Call): void {
  const raised = liveNames.filter((name) => after[name] > before[name]);
  assertWithinMaximum(kernel, Object.fromEntries(raised.map((name) => [name, after[name]])));
  if (raised.length === 0 || call.actor.kind !== 'agent') return;
  throw new OpencodeToolsError('OCT_POLICY_DENIED', `An agent does not raise limits by itself: ${raised.join(', ')}`, {
    remedy: 'Ask for them: `opencode-tools sandbox request`, or the tool request_task_limits.',
    details: { raised },
  });
}

export function assertWithinMaximum(kernel: Kernel, limits: Partial<LiveLimits>): void {
  const most = kernel.deps.defaults.maxLimits ?? defaultMaxLimits;
  const beyond = liveNames.find((name) => (limits[name] ?? 0) > most[name]);
  if (beyond === undefined) return;
  throw new OpencodeToolsError('OCT_RESOURCE_LIMIT', `${beyond} of a sandbox is at most ${most[beyond]} here`, {
    remedy: `Ask for at most ${most[beyond]}, or raise the maximum (maxLimits) in the configuration of the user.`,
    details: { limit: beyond, maximum: most[beyond] },
  });
}

function merged(spec: SandboxSpec, { limits, readOnlyRoot, runtime }: SandboxSettings): SandboxSpec {
  return {
    ...spec,
    limits: resourceLimits({ ...spec.limits, ...limits }),
    readOnlyRoot: readOnlyRoot ?? spec.readOnlyRoot,
    runtime: runtime === undefined ? spec.runtime : runtime,
  };
}

function needsContainer(before: SandboxSpec, after: SandboxSpec): boolean {
  return (
    before.limits.tmpBytes !== after.limits.tmpBytes ||
    before.readOnlyRoot !== after.readOnlyRoot ||
    before.runtime !== after.runtime
  );
}

/** The version guards it: what an agent does meanwhile in the sandbox goes on. */
async function writeSpec(
  kernel: Kernel,
  id: TaskId,
  spec: SandboxSpec,
  proof: LeaseProof | null,
  call: Call,
  type: RecordType = 'sandbox.settings_changed',
): Promise<Task> {
  return kernel.changeTask(id, (current) => {
    const before = current.sandboxSpec;
    const { image, imageId, network, env, user } = before;
    const sandboxSpec = { ...spec, image, imageId, network, env, user };
    const task: Task = { ...current, sandboxSpec, version: current.version + 1, updatedAt: kernel.now() };
    const detail: JsonObject = { before: asJson(settingsOf(before)), after: asJson(settingsOf(sandboxSpec)) };
    const records = [draft({ stream: id, type, call, proof, puts: [{ noun: 'task', value: task }], detail })];
    const guard = proof === null ? {} : { guard: leaseGuard(proof, true) };
    return { change: { ...guard, records }, result: task };
  });
}

function settingsOf({ limits, readOnlyRoot, runtime }: SandboxSpec): Required<SandboxSettings> {
  return { limits, readOnlyRoot, runtime };
}

function needsRecreate(): OpencodeToolsError {
  return invalid(
    'recreate',
    'the size of /tmp, a read-only root and the runtime are fixed when a container is made',
    'Allow a new container with recreate: what runs in the sandbox ends, its files are kept.',
  );
}
