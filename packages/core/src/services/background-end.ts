import type { EndReason, Execution, OutputSummary } from '../domain/execution.ts';
import type { Operation } from '../domain/operation.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { sha256 } from '../ledger/chain.ts';
import type { SandboxHandle } from '../ports/sandbox-runtime.ts';
import type { ExecOutcome } from '../ports/exec-request.ts';
import { type OutputStream, outputStreams } from '../ports/task-memory.ts';
import { forgetMask, maskFor } from './background-masks.ts';
import type { Kernel } from './kernel.ts';
import { isLeaseActive } from './quiet.ts';
import type { Redaction } from './redactor.ts';
import { diskError } from './recorded-outputs.ts';
import { tripwiresOf } from './tripwire-watch.ts';

const pollMs = 25;
const endLimitMs = 20_000;

/** One command in the background, with the operation that it is. */
export interface InBackground {
  readonly execution: Execution;
  readonly operation: Operation;
}

export interface BackgroundEnd {
  readonly execution: Execution;
  readonly state: 'completed' | 'interrupted';
}

interface EndOptions {
  /** Ends the command first, for this reason. */
  readonly endAs?: EndReason;
  /** True when a command that the sandbox does not know may just not have begun. */
  readonly mayBegin?: boolean;
  /** True to fail where the command's secrets cannot be looked up, instead of leaving it to a process that can. */
  readonly needsSecrets?: boolean;
}

/** True for the operation of a command that goes on without whoever started it. */
export function isBackground(operation: Operation): boolean {
  return operation.kind === 'execution' && operation.intent['background'] === true;
}

/** True for a command in the background that may outlive its process: its lease is held, and its sandbox stands. */
export async function goesOn(kernel: Kernel, operation: Operation): Promise<boolean> {
  if (!isBackground(operation) || !(await isLeaseActive(kernel, operation))) return false;
  const sandbox = await kernel.deps.tasks.findSandbox(operation.taskId);
  const handle = sandbox?.ref == null ? undefined : await kernel.deps.runtime.find(sandbox.ref);
  const state = (await handle?.inspect())?.state;
  return state === 'running' || state === 'paused';
}

/**
 * Takes what a command in the background has put out into the task's memory, secrets masked, and says how it ended. Safe in any
 * number of processes at once: the same bytes go to the same place. Where the secrets cannot be looked up, outputs stay in the
 * sandbox until the command is ended, and go with it.
 *
 * @param handle undefined when no container runs
 * @returns null while the command runs, or has ended and its outputs have to be taken by another process
 */
export async function endOfBackground(
  kernel: Kernel,
  handle: SandboxHandle | undefined,
  command: InBackground,
  options: EndOptions = {},
): Promise<BackgroundEnd | null> {
  const { id } = command.execution;
  if (handle === undefined) return options.mayBegin === true ? null : composeEnd(kernel, command, gone);
  if (options.endAs !== undefined) await handle.endExecution(id);
  const deadline = performance.now() + endLimitMs;
  let { endAs } = options;
  const masking = await maskingOf(kernel, command, options);
  const pulled = new Map<OutputStream, number>();
  let full = false;
  if (masking === 'unknown' && endAs === undefined) return null;
  for (;;) {
    // Asked before the outputs are taken: what was put out before an end is then among them.
    const state = await handle.background.look(id);
    if (state.kind === 'none') return options.mayBegin === true ? null : composeEnd(kernel, command, gone);
    const taking = { all: state.kind === 'ended', pulled, drops: full };
    if (masking !== 'unknown') full = await takeOutputs(kernel, handle, command, { masking, ...taking });
    if (state.kind === 'ended') return composeEnd(kernel, command, asEnded(state.outcome, endAs));
    if (full) endAs ??= 'output-limit';
    if (full) await handle.endExecution(id);
    if (endAs === undefined) return null;
    if (performance.now() > deadline) return composeEnd(kernel, command, asEnded(gone, endAs));
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

type Masking = Redaction['mask'] | undefined;

async function maskingOf(
  kernel: Kernel,
  { execution, operation }: InBackground,
  { needsSecrets }: EndOptions,
): Promise<Masking | 'unknown'> {
  try {
    return await maskFor(kernel, execution.id, operation);
  } catch (error) {
    if (needsSecrets === true || !isOpencodeToolsError(error)) throw error;
    kernel.deps.logger.warn('The output of a command is left alone: its secrets are not known here', {
      id: execution.id,
      error: error.message,
    });
    return 'unknown';
  }
}

type Ended = Omit<ExecOutcome, 'durationMs'> & { readonly durationMs: number | null };

const gone: Ended = { reason: 'sandbox-gone', exitCode: null, signal: null, durationMs: null };

/** Who ended a command knows better than the sandbox why. */
function asEnded(outcome: Ended, endAs: EndReason | undefined): Ended {
  const byUs = outcome.reason === 'cancelled' || outcome.reason === 'sandbox-gone' || outcome.reason === 'signalled';
  return endAs === undefined || !byUs ? outcome : { ...outcome, reason: endAs };
}

async function composeEnd(kernel: Kernel, { execution }: InBackground, ended: Ended): Promise<BackgroundEnd> {
  forgetMask(kernel, execution.id);
  const byItself = ended.reason === 'exited' || ended.reason === 'signalled' || ended.reason === 'out-of-memory';
  const [stdout, stderr] = await Promise.all(outputStreams.map(async (stream) => kept(kernel, execution, stream)));
  const task = await kernel.deps.tasks.findTask(execution.taskId);
  const tripwires = task && (await tripwiresOf(kernel, task, execution.operationId));
  return {
    state: byItself ? 'completed' : 'interrupted',
    execution: {
      ...execution,
      ...ended,
      ...(tripwires === undefined ? {} : { tripwires }),
      state: byItself ? 'exited' : 'interrupted',
      stdout: stdout ?? null,
      stderr: stderr ?? null,
      endedAt: kernel.now(),
    },
  };
}

async function kept(kernel: Kernel, { taskId, id }: Execution, stream: OutputStream): Promise<OutputSummary> {
  try {
    return await kernel.deps.memory.summariseOutput(taskId, id, stream);
  } catch (error) {
    if (isOpencodeToolsError(error, 'OCT_EXECUTION_NOT_FOUND')) return { bytes: 0, digest: sha256('') };
    throw error;
  }
}

interface Taking {
  readonly masking: Masking;
  /** True when nothing more will come. */
  readonly all: boolean;
  /** How far this process came, which past the limit of an output is further than what is kept of it. */
  readonly pulled: Map<OutputStream, number>;
  /** True to pull what is past the limit, too: a command waits, even to end, while there is no room for more. */
  readonly drops: boolean;
}

/** Returns true when an output exceeds what is kept of one. */
async function takeOutputs(
  kernel: Kernel,
  handle: SandboxHandle,
  command: InBackground,
  taking: Taking,
): Promise<boolean> {
  const full = await Promise.all(
    outputStreams.map(async (stream) => takeOutput(kernel, handle, command, stream, taking)),
  );
  return full.includes(true);
}

async function takeOutput(
  kernel: Kernel,
  handle: SandboxHandle,
  { execution: { id, taskId }, operation }: InBackground,
  stream: OutputStream,
  { masking, all, pulled, drops }: Taking,
): Promise<boolean> {
  const { memory, defaults } = kernel.deps;
  const limit = Number(operation.intent['maxOutputBytes'] ?? defaults.outputMaxBytes);
  let offset = Math.max(pulled.get(stream) ?? 0, await memory.outputBytes(taskId, id, stream));
  for (let held = 0; ;) {
    const bytes = await handle.background.pull(id, stream, offset);
    if (bytes?.length === 0) return offset > limit;
    if (bytes === undefined) {
      // Another process has taken it, and has written it by now.
      const now = await memory.outputBytes(taskId, id, stream);
      if (now <= offset) return offset > limit;
      offset = now;
      continue;
    }
    const masked = masking?.(bytes) ?? { bytes, certain: bytes.length };
    // What is held back comes again with what follows it, until nothing does.
    const ready = all && bytes.length === held ? bytes.length : masked.certain;
    const part = { offset, bytes: masked.bytes.subarray(0, Math.max(0, Math.min(ready, limit - offset))) };
    if (part.bytes.length > 0) await memory.writeOutput(taskId, id, stream, part).catch(diskError);
    offset += ready;
    held = bytes.length - ready;
    pulled.set(stream, offset);
    if (offset > limit && !drops) return true;
    if (ready === 0 && !all) return offset > limit;
  }
}
