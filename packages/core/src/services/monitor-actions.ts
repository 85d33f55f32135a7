import type { SessionId, TaskId } from '../domain/ids.ts';
import { asJson } from '../domain/json.ts';
import type { Pressure, Sandbox } from '../domain/sandbox.ts';
import type { Task } from '../domain/task.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { RecordType } from '../ledger/ledger-record.ts';
import { automaticOf, checkpointUnasked } from './automatic-checkpoint.ts';
import { type Kernel, draft } from './kernel.ts';
import { bytesInWords } from './memory-story.ts';
import { holdSandbox } from './pause-sandbox.ts';
import { percentOf, rankOf } from './pressure.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call } from './services.ts';
import { takeCheckpoint } from './take-checkpoint.ts';
import { withLease } from './with-lease.ts';

/** Several processes watch one home: what one of them has just recorded is not recorded again. */
const sameEventMs = 5_000;

const monitorCall: Call = {
  actor: { kind: 'system', id: 'resource-monitor', agent: null, model: null, session: null, onBehalfOf: null },
};

interface Act {
  readonly task: Task;
  readonly pressure: Pressure;
  /** Sessions of this process. */
  readonly keptAlive: ReadonlySet<SessionId> | undefined;
}

/** Records a new level; from `critical` on saves the work, at `emergency` holds the sandbox. */
export async function actUpon(
  kernel: Kernel,
  keeper: SandboxKeeper,
  { task, pressure, keptAlive }: Act,
): Promise<void> {
  const { epoch } = kernel.deps.tasks;
  const sandbox = await kernel.deps.tasks.findSandbox(task.id);
  const before = sandbox?.pressure?.level ?? 'normal';
  if (sandbox === undefined || before === pressure.level) return;
  const worse = rankOf(pressure.level) > rankOf(before);
  const value = { ...sandbox, pressure: pressure.level === 'normal' ? null : pressure };
  await record(kernel, epoch, value, worse ? 'sandbox.limit_neared' : 'sandbox.limit_eased', pressure);
  if (!worse || rankOf(pressure.level) < rankOf('critical')) return;
  await save(kernel, keeper, task, pressure, await ownSession(kernel, task.id, keptAlive));
  if (pressure.level === 'emergency') await holdSandbox(kernel, keeper, task.id, holdReason(pressure), monitorCall);
}

/** Takes the checkpoint that is due while a sandbox is at work; a task that others hold is theirs to save. */
export async function saveAtInterval(
  kernel: Kernel,
  keeper: SandboxKeeper,
  taskId: TaskId,
  keptAlive: ReadonlySet<SessionId> | undefined,
): Promise<void> {
  const { everyMs, debounceMs } = automaticOf(kernel);
  if (everyMs === 0) return;
  const notWithinMs = Math.max(everyMs, debounceMs);
  const sessionId = await ownSession(kernel, taskId, keptAlive);
  if (sessionId === undefined && (await kernel.deps.leases.listActive(taskId)).length > 0) return;
  const cause = { name: `at work ${kernel.now()}`, reason: 'Taken while the sandbox was at work', notWithinMs };
  await checkpointUnasked(kernel, keeper, taskId, { ...cause, sessionId }, monitorCall);
}

/** What only exists in the sandbox is saved while that is possible; a task that others hold is theirs to save. */
async function save(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  pressure: Pressure,
  sessionId: SessionId | undefined,
): Promise<void> {
  const name = `${pressure.resource} ${pressure.level} ${pressure.at}`;
  const input = { taskId: task.id, name, reason: `limit of ${pressure.resource} neared`, onlyIfChanged: true };
  try {
    await withLease(kernel, task, { sessionId, sandbox: true }, monitorCall, (leased) =>
      takeCheckpoint(kernel, keeper, input, leased, monitorCall),
    );
  } catch (error) {
    const held = isOpencodeToolsError(error, 'OCT_LEASE_HELD');
    const message = held ? 'No checkpoint: a session of another process holds the task' : 'No checkpoint was taken';
    kernel.deps.logger.warn(message, { taskId: task.id, error: String(error) });
  }
}

async function ownSession(
  kernel: Kernel,
  taskId: TaskId,
  keptAlive: ReadonlySet<SessionId> | undefined,
): Promise<SessionId | undefined> {
  if (keptAlive === undefined || keptAlive.size === 0) return undefined;
  return (await kernel.deps.leases.listActive(taskId)).find(({ sessionId }) => keptAlive.has(sessionId))?.sessionId;
}

/** Records that the kernel ended a process of a sandbox for want of memory. */
export async function recordOutOfMemory(kernel: Kernel, taskId: TaskId, ref: string): Promise<void> {
  const { epoch } = kernel.deps.tasks;
  const sandbox = await kernel.deps.tasks.findSandbox(taskId);
  if (sandbox?.ref !== ref) return;
  const { pressure } = sandbox;
  const sinceMs = pressure == null ? Infinity : kernel.deps.clock.nowMs() - Date.parse(pressure.at);
  if (pressure?.resource === 'memory' && pressure.used >= pressure.limit && sinceMs < sameEventMs) return;
  const { memoryBytes: limit } = (await kernel.deps.tasks.getTask(taskId)).sandboxSpec.limits;
  // Memory that was taken away from a process is no longer used: the level falls with the next rounds.
  const full: Pressure = { level: 'emergency', resource: 'memory', used: limit, limit, at: kernel.now() };
  await record(kernel, epoch, { ...sandbox, pressure: full }, 'sandbox.out_of_memory', full);
}

async function record(
  kernel: Kernel,
  epoch: number,
  sandbox: Sandbox,
  type: RecordType,
  pressure: Pressure,
): Promise<void> {
  const { taskId } = sandbox;
  const value = { ...sandbox, updatedAt: kernel.now() };
  const detail = { ...asJson(pressure), percent: Math.round(percentOf(pressure)) };
  const puts = [{ noun: 'sandbox', value }] as const;
  await kernel.commit({
    epoch,
    guard: { noOpenOperation: { taskId, kinds: ['sandbox', 'restore', 'deletion'] } },
    records: [draft({ stream: taskId, type, call: monitorCall, puts, detail })],
  });
}

function holdReason(pressure: Pressure): string {
  const { resource, used, limit } = pressure;
  const words = resource === 'processes' ? `${used} of ${limit}` : `${bytesInWords(used)} of ${bytesInWords(limit)}`;
  return `${Math.round(percentOf(pressure))} % of its ${resource} are used (${words})`;
}
