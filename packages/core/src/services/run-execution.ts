import type { Command, EndReason, Execution } from '../domain/execution.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Task } from '../domain/task.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { SandboxHandle } from '../ports/sandbox-runtime.ts';
import type { ExecOutcome, TerminalRequest } from '../ports/exec-request.ts';
import { type OutputStream, outputStreams } from '../ports/task-memory.ts';
import { type ClaimWatch, watchClaims } from './claim-watch.ts';
import { resolveSecrets } from './command-secrets.ts';
import { composeExecution, describeCommand } from './compose-execution.ts';
import { type IdempotencyKey, onTheWay } from './idempotent.ts';
import type { Kernel } from './kernel.ts';
import { memoryStory } from './memory-story.ts';
import { wakingFrozen } from './wake-frozen.ts';
import { processStory } from './process-story.ts';
import { RecordedOutputs, diskError } from './recorded-outputs.ts';
import { createRedaction } from './redactor.ts';
import { runHooks } from './run-hooks.ts';
import { type OperationEnd, runOperation } from './run-operation.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, CommandSecret, ExecutionResult, RunCommand } from './services.ts';
import { type ShellChoice, type ShellKeeper, isShellGone, textForShell } from './shells.ts';
import { forgetWorkspace, noteWorkspace, trippedRecords, tripwiresOf } from './tripwire-watch.ts';
import { watchDenials } from './watch-denials.ts';
import type { LeasedWork } from './with-lease.ts';

export interface RunPlan {
  readonly command: Command;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly secrets: readonly CommandSecret[];
  readonly stdin: Uint8Array | undefined;
  readonly timeoutMs: number;
  readonly outputLimitBytes: number;
  readonly maxOutputBytes: number;
  readonly onOutput: RunCommand['onOutput'];
  readonly lendsChunks: boolean;
  readonly onNotice?: RunCommand['onNotice'];
  /** What the caller gave of directory and variables. */
  readonly given: { readonly cwd: string | undefined; readonly env: Readonly<Record<string, string>> };
  readonly shell: ShellChoice | undefined;
  readonly terminal?: Pick<TerminalRequest, 'size' | 'onOpen'>;
}

/** One command about to run: everything that its steps share. */
interface Run {
  readonly task: Task;
  readonly plan: RunPlan;
  readonly env: Readonly<Record<string, string>>;
  readonly execution: Execution;
  readonly outputs: RecordedOutputs;
  /** The shell that runs the command. */
  readonly shell: Execution | undefined;
  readonly shells: ShellKeeper;
  readonly leased: LeasedWork;
  readonly call: Call;
  /** Null when nobody claims anything on the task. */
  readonly watch: ClaimWatch | null;
  /** Says what the egress gateway refused since the command began. */
  readonly denials: () => Promise<readonly string[]>;
}

type Redaction = ReturnType<typeof createRedaction>;

/** Runs one command as an operation: recorded, run, recorded with its end, digests and sizes. */
export async function runExecution(
  kernel: Kernel,
  { keeper, shells }: { readonly keeper: SandboxKeeper; readonly shells: ShellKeeper },
  task: Task,
  plan: RunPlan,
  leased: LeasedWork,
  key: IdempotencyKey,
  call: Call,
): Promise<ExecutionResult> {
  const { deps } = kernel;
  const { proof, session } = leased;
  const context = { point: 'execution:starting', task, agent: session.agent, model: session.model } as const;
  const command = describeCommand(plan.command);
  const hooks = await runHooks(
    kernel,
    { ...context, sessionId: session.id, command },
    { stream: task.id, call, proof },
  );
  const handle = await keeper.ensureRunning(task, leased, call);
  const shell = plan.shell && (await shells.enter(task, plan.shell, plan, leased, onTheWay(key), call));
  const secrets = await resolveSecrets(kernel, task, plan.secrets);
  const env = { ...(await deps.egress.environment(task)), ...secrets.env, ...plan.env };
  const executionId = deps.ids.next('execution');
  const operation = kernel.newOperation('execution', task.id, proof, { executionId });
  const redaction = createRedaction(...secrets.hidden);
  const execution = composeExecution(kernel, {
    id: executionId,
    task,
    plan,
    redaction,
    env,
    operation,
    leased,
  });
  const watch = await watchClaims(kernel, handle, task, leased);
  const outputs = await openOutputs(kernel, execution, plan, redaction);
  const denials = await watchDenials(kernel, task, handle, { executionId, token: proof.token, redaction });
  const run: Run = { task, plan, env, execution, outputs, shell, shells, leased, call, watch, denials };
  try {
    await noteWorkspace(kernel, task, operation.id, { durable: false });
    return await runOperation(
      kernel,
      {
        operation,
        excludes: ['restore', 'deletion'],
        puts: [{ noun: 'execution', value: execution }],
        detail: hooks,
        key,
        reachesDisk: 'meanwhile',
      },
      leased,
      call,
      async () => {
        const ended = await execute(kernel, keeper, handle, run);
        if (ended.shellEnded === true && shell !== undefined) leased.notices.push(await lastWords(shells, shell, call));
        if (ended.reason === 'out-of-memory') leased.notices.push(await memoryStory(kernel, keeper, task));
        return endOf(kernel, keeper, run, ended);
      },
      { puts: async () => [{ noun: 'execution', value: await failedExecution(kernel, run) }] },
    );
  } finally {
    await outputs.abandon();
    if (task.workspace.mode === 'bind') await forgetWorkspace(kernel, operation);
  }
}

async function openOutputs(
  kernel: Kernel,
  execution: Execution,
  plan: RunPlan,
  redaction: Redaction,
): Promise<RecordedOutputs> {
  const { outputLimitBytes, maxOutputBytes, onOutput, lendsChunks } = plan;
  const sinks = await kernel.deps.memory.openOutput(execution.taskId, execution.id).catch(diskError);
  const redacted = redaction === undefined ? {} : { redactor: redaction.redactor };
  return new RecordedOutputs({ sinks, outputLimitBytes, maxOutputBytes, onOutput, lendsChunks, ...redacted });
}

async function lastWords(shells: ShellKeeper, shell: Execution, call: Call): Promise<string> {
  const { message } = await shells.ended(shell, call);
  return `${message}, with this command`;
}

/** A container that vanished before the command began is made anew, once. */
async function execute(kernel: Kernel, keeper: SandboxKeeper, handle: SandboxHandle, run: Run): Promise<ExecOutcome> {
  const { task, leased, call, shell, shells } = run;
  try {
    return await wakingFrozen(kernel, handle, task.id, async () => executeOn(handle, run), {
      onWoken: () => void leased.notices.push('somebody had paused the sandbox; it was let go on'),
      onHeld: (hold) => {
        leased.notices.push(standsStill(hold));
        run.plan.onNotice?.(standsStill(hold));
      },
    });
  } catch (error) {
    if (shell !== undefined && isShellGone(error)) throw await shells.ended(shell, call);
    if (!isOpencodeToolsError(error, 'OCT_SANDBOX_NOT_FOUND')) throw error;
    keeper.forget(task.id);
    return executeOn(await keeper.ensureRunning(task, leased, call), run);
  }
}

function standsStill(hold: string): string {
  return `the sandbox was held while the command ran: ${hold}; what runs in it stands still until it is let go on (\`opencode-tools sandbox unpause\`, or the tool control_task_sandbox), or its time is over`;
}

function executeOn(handle: SandboxHandle, { plan, env, execution, outputs, shell, leased }: Run): Promise<ExecOutcome> {
  const signal = AbortSignal.any([leased.signal, outputs.full]);
  const asked = {
    executionId: execution.id,
    token: leased.proof.token,
    command: plan.command,
    cwd: plan.cwd,
    env,
    signal,
  };
  if (plan.terminal !== undefined) {
    return handle.runTerminal({ ...asked, ...plan.terminal, onOutput: (chunk) => outputs.take('stdout', chunk) });
  }
  return handle.exec({
    ...asked,
    ...(shell === undefined ? {} : { shell: shell.id, command: { kind: 'script', script: textForShell(plan) } }),
    ...(plan.stdin === undefined ? {} : { stdin: plan.stdin }),
    timeoutMs: plan.timeoutMs,
    onStdout: (chunk) => outputs.take('stdout', chunk),
    onStderr: (chunk) => outputs.take('stderr', chunk),
    lendsChunks: true,
  });
}

async function endOf(
  kernel: Kernel,
  keeper: SandboxKeeper,
  run: Run,
  outcome: ExecOutcome,
): Promise<OperationEnd<ExecutionResult>> {
  const { outputs } = run;
  const { stdout, stderr } = await outputs.close();
  const { exitCode, signal } = outcome;
  const reason = outputs.full.aborted ? withoutRest(outcome.reason) : outcome.reason;
  const byItself = reason === 'exited' || reason === 'signalled' || reason === 'out-of-memory';
  const state = byItself ? 'exited' : 'interrupted';
  if (byItself && exitCode !== 0)
    run.leased.notices.push(...(await processStory(kernel, keeper, run.task, outputs.preview('stderr').text)));
  const durationMs = Math.round(outcome.durationMs);
  const ended = { ...run.execution, state, reason, exitCode, signal, stdout, stderr, durationMs } as const;
  const tripwires = await tripwiresOf(kernel, run.task, ended.operationId);
  const told = tripwires === undefined ? {} : { tripwires };
  const execution: Execution = { ...ended, ...told, endedAt: kernel.now() };
  run.leased.notices.push(...(await run.denials()));
  const seen = await run.watch?.finish(execution, run.call);
  const stored: JsonObject = { executionId: execution.id };
  return {
    result: {
      execution,
      stdout: outputs.preview('stdout'),
      stderr: outputs.preview('stderr'),
      ...(run.leased.notices.length === 0 ? {} : { notices: run.leased.notices }),
      ...(seen === undefined ? {} : { outsideClaims: seen.outside }),
    },
    state: byItself ? 'completed' : 'interrupted',
    outcome: { reason, exitCode },
    stored,
    records: [...(seen?.records ?? []), ...trippedRecords(execution, run.leased.proof, run.call)],
    puts: () => [{ noun: 'execution', value: execution }],
  };
}

/** Also a command that ended while it was being ended has put out what is not kept. */
function withoutRest(reason: EndReason): EndReason {
  return reason === 'cancelled' || reason === 'exited' || reason === 'signalled' ? 'output-limit' : reason;
}

/** The row of a command of which nothing came; what it had put out until then is kept. */
async function failedExecution(kernel: Kernel, { execution, outputs }: Run): Promise<Execution> {
  const closed = await outputs.abandon();
  const [stdout, stderr] = await Promise.all(
    outputStreams.map(async (stream) => closed[stream] ?? (await onDisk(kernel, execution, stream))),
  );
  return { ...execution, state: 'failed', stdout: stdout ?? null, stderr: stderr ?? null, endedAt: kernel.now() };
}

async function onDisk(kernel: Kernel, { taskId, id }: Execution, stream: OutputStream): Promise<Execution['stdout']> {
  return kernel.deps.memory.summariseOutput(taskId, id, stream).catch(() => null);
}
