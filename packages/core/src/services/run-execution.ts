import type { Command, Execution } from '../domain/execution.ts';
import { asJson } from '../domain/json.ts';
import type { Operation } from '../domain/operation.ts';
import type { Task } from '../domain/task.ts';
import { asOpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { ExecOutcome, SandboxHandle } from '../ports/sandbox-runtime.ts';
import type { OutputSink, OutputStream } from '../ports/task-memory.ts';
import type { IdempotencyKey } from './idempotent.ts';
import { type Kernel, draft, finished, leaseGuard } from './kernel.ts';
import { PreviewCollector } from './output-preview.ts';
import { runHooks } from './run-hooks.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, ExecutionResult } from './services.ts';
import type { LeasedWork } from './with-lease.ts';

export interface RunPlan {
  readonly command: Command;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: Uint8Array | undefined;
  readonly timeoutMs: number;
  readonly outputLimitBytes: number;
  readonly onOutput: ((stream: OutputStream, chunk: Uint8Array) => void) | undefined;
}

interface Outputs {
  readonly sinks: Readonly<Record<OutputStream, OutputSink>>;
  readonly previews: Readonly<Record<OutputStream, PreviewCollector>>;
}

/** Runs one command as an operation: recorded, run, recorded with its end, digests and sizes. */
export async function runExecution(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  plan: RunPlan,
  leased: LeasedWork,
  key: IdempotencyKey,
  call: Call,
): Promise<ExecutionResult> {
  const { deps } = kernel;
  const { proof, session } = leased;
  const hooks = await runHooks(
    kernel,
    {
      point: 'execution:starting',
      task,
      agent: session.agent,
      model: session.model,
      sessionId: session.id,
      command: describeCommand(plan.command),
    },
    { stream: task.id, call, proof },
  );
  const handle = await keeper.ensureRunning(task, leased, call);
  const secrets = await deps.secrets.resolve(task.sandboxSpec.env);
  const env = { ...secrets, ...plan.env };
  const { open, execution } = await request(kernel, task, plan, Object.keys(env), leased, key, hooks, call);
  const sinks = await deps.memory.openOutput(task.id, execution.id);
  const outputs: Outputs = {
    sinks,
    previews: {
      stdout: new PreviewCollector(plan.outputLimitBytes),
      stderr: new PreviewCollector(plan.outputLimitBytes),
    },
  };
  try {
    const outcome = await execute(keeper, task, handle, plan, env, execution, outputs, leased, call);
    return await finish(kernel, open, execution, outcome, outputs, leased, key, call);
  } catch (error) {
    await fail(kernel, open, execution, outputs, error, leased, call);
    throw error;
  }
}

function describeCommand(command: Command): string {
  return command.kind === 'script' ? command.script : command.argv.join(' ');
}

async function request(
  kernel: Kernel,
  task: Task,
  plan: RunPlan,
  envNames: readonly string[],
  leased: LeasedWork,
  key: IdempotencyKey,
  hooks: object,
  call: Call,
): Promise<{ open: Operation; execution: Execution }> {
  const { proof, session } = leased;
  const executionId = kernel.deps.ids.next('execution');
  const open = kernel.newOperation('execution', task.id, proof, { executionId });
  const execution: Execution = {
    id: executionId,
    taskId: task.id,
    sessionId: session.id,
    operationId: open.id,
    command: plan.command,
    cwd: plan.cwd,
    envNames: [...envNames].sort(),
    agent: session.agent,
    state: 'running',
    reason: null,
    exitCode: null,
    signal: null,
    stdout: null,
    stderr: null,
    startedAt: kernel.now(),
    endedAt: null,
    durationMs: null,
  };
  await kernel.commit({
    guard: { ...leaseGuard(proof), noOpenOperation: { taskId: task.id, kinds: ['restore', 'deletion'] } },
    records: [
      draft({
        stream: task.id,
        type: 'execution.requested',
        call,
        proof,
        operationId: open.id,
        puts: [
          { noun: 'operation', value: open },
          { noun: 'execution', value: execution },
        ],
        detail: asJson(hooks),
      }),
    ],
    ...key.started(open.id),
  });
  return { open, execution };
}

/** A container that vanished before the command began is made anew, once. */
async function execute(
  keeper: SandboxKeeper,
  task: Task,
  handle: SandboxHandle,
  plan: RunPlan,
  env: Readonly<Record<string, string>>,
  execution: Execution,
  outputs: Outputs,
  leased: LeasedWork,
  call: Call,
): Promise<ExecOutcome> {
  const take = (stream: OutputStream) => (chunk: Uint8Array) => {
    outputs.sinks[stream].write(chunk);
    outputs.previews[stream].add(chunk);
    plan.onOutput?.(stream, chunk);
  };
  const run = (on: SandboxHandle): Promise<ExecOutcome> =>
    on.exec({
      executionId: execution.id,
      token: leased.proof.token,
      command: plan.command,
      cwd: plan.cwd,
      env,
      ...(plan.stdin === undefined ? {} : { stdin: plan.stdin }),
      timeoutMs: plan.timeoutMs,
      onStdout: take('stdout'),
      onStderr: take('stderr'),
      signal: leased.signal,
    });
  try {
    return await run(handle);
  } catch (error) {
    if (!isOpencodeToolsError(error, 'OCT_SANDBOX_NOT_FOUND')) throw error;
    keeper.forget(task.id);
    return run(await keeper.ensureRunning(task, leased, call));
  }
}

async function finish(
  kernel: Kernel,
  open: Operation,
  execution: Execution,
  outcome: ExecOutcome,
  outputs: Outputs,
  leased: LeasedWork,
  key: IdempotencyKey,
  call: Call,
): Promise<ExecutionResult> {
  const [stdout, stderr] = await Promise.all([outputs.sinks.stdout.close(), outputs.sinks.stderr.close()]);
  const { reason, exitCode, signal } = outcome;
  const durationMs = Math.round(outcome.durationMs);
  const state = reason === 'exited' || reason === 'signalled' || reason === 'out-of-memory' ? 'exited' : 'interrupted';
  const ended: Execution = {
    ...execution,
    state,
    reason,
    exitCode,
    signal,
    stdout,
    stderr,
    endedAt: kernel.now(),
    durationMs,
  };
  await kernel.commit({
    guard: { ...leaseGuard(leased.proof), openOperation: open.id },
    records: [
      draft({
        stream: execution.taskId,
        type: state === 'exited' ? 'execution.completed' : 'execution.interrupted',
        call,
        proof: leased.proof,
        operationId: open.id,
        puts: [
          {
            noun: 'operation',
            value: finished(open, state === 'exited' ? 'completed' : 'interrupted', { reason, exitCode }, kernel.now()),
          },
          { noun: 'execution', value: ended },
        ],
      }),
    ],
    ...key.finished({ executionId: execution.id }, open.id),
  });
  return { execution: ended, stdout: outputs.previews.stdout.preview(), stderr: outputs.previews.stderr.preview() };
}

/** Records why nothing came of the command; when the lease was lost its taker records the end instead. */
async function fail(
  kernel: Kernel,
  open: Operation,
  execution: Execution,
  outputs: Outputs,
  error: unknown,
  leased: LeasedWork,
  call: Call,
): Promise<void> {
  const failure = asOpencodeToolsError(error);
  const { code, message } = failure;
  try {
    const [stdout, stderr] = await Promise.all([outputs.sinks.stdout.close(), outputs.sinks.stderr.close()]);
    const ended: Execution = { ...execution, state: 'failed', stdout, stderr, endedAt: kernel.now() };
    await kernel.commit({
      guard: { ...leaseGuard(leased.proof), openOperation: open.id },
      records: [
        draft({
          stream: execution.taskId,
          type: 'execution.failed',
          call,
          operationId: open.id,
          puts: [
            { noun: 'operation', value: finished(open, 'failed', { code, message }, kernel.now()) },
            { noun: 'execution', value: ended },
          ],
          detail: { code, message },
        }),
      ],
    });
  } catch (second) {
    if (isOpencodeToolsError(second, 'OCT_VERSION_CONFLICT') || isOpencodeToolsError(second, 'OCT_LEASE_LOST')) return;
    kernel.deps.logger.warn('A failed execution stays open for recovery', {
      operationId: open.id,
      error: String(second),
    });
  }
}
