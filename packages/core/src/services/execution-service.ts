import path from 'node:path/posix';
import type { Command, Execution } from '../domain/execution.ts';
import type { ExecutionId, TaskId } from '../domain/ids.ts';
import type { JsonValue } from '../domain/json.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { OutputRange, OutputSlice, OutputStream } from '../ports/task-memory.ts';
import { createBackgroundKeeper } from './background.ts';
import { checkSecrets, secretsNamed } from './command-secrets.ts';
import { controlOfExecutions } from './execution-control.ts';
import { idempotent } from './idempotent.ts';
import type { Kernel } from './kernel.ts';
import { type RunPlan, runExecution } from './run-execution.ts';
import { PreviewCollector } from './output-preview.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, ExecutionResult, ExecutionService, OutputPreview, RunCommand } from './services.ts';
import { checkShellName, createShellKeeper } from './shells.ts';
import { ensureRunningStatus } from './task-moves.ts';
import { environment, integerBetween, invalid } from './validate.ts';
import { assertHere, settleTask, withLease } from './with-lease.ts';
import { withOwner } from './with-owner.ts';

const maxScriptBytes = 1024 ** 2;
const maxOutputLimit = 1024 ** 2;
const maxKeptOutput = 1024 ** 4;
const maxTimeoutMs = 86_400_000;
const mostCells = 10_000;
const defaultShell: Command = { kind: 'script', script: '[ ! -x /bin/bash ] || exec /bin/bash; exec /bin/sh' };

export function createExecutionService(kernel: Kernel, keeper: SandboxKeeper): ExecutionService {
  const { deps } = kernel;
  const background = createBackgroundKeeper(kernel, keeper);
  const shells = createShellKeeper(kernel, keeper, background);
  const get = async (id: ExecutionId): Promise<Execution> => {
    const execution = await deps.tasks.findExecution(id);
    if (execution !== undefined) return execution;
    throw new OpencodeToolsError('OCT_EXECUTION_NOT_FOUND', `No execution has the id ${id}`);
  };
  return {
    get,
    list: async (taskId, range) => {
      const page = await deps.tasks.listExecutions(taskId, range);
      return { ...page, items: await Promise.all(page.items.map(async (one) => withOwner(kernel, one))) };
    },
    secretsNamed: (names) => secretsNamed(deps.defaults.secrets ?? {}, names),
    ...controlOfExecutions(kernel, keeper, background, get),
    runTerminal: async (taskId, options, call) => {
      const task = await deps.tasks.getTask(taskId);
      const { command = defaultShell, size, onOpen, ...rest } = options;
      integerBetween('size.columns', size.columns, 1, mostCells);
      integerBetween('size.rows', size.rows, 1, mostCells);
      const plan = { ...planRun(kernel, task, { ...rest, command }), terminal: { size, onOpen } };
      const { sessionId } = options;
      const { idempotencyKey: _key, ...once } = call;
      return idempotent(kernel, once, 'terminal', {}, async (key) =>
        withLease(kernel, task, { sessionId, sandbox: true }, once, async (leased) => {
          const running = await ensureRunningStatus(kernel, task, leased.proof, once, { reopen: false });
          return runExecution(kernel, { keeper, shells }, running, plan, leased, key, once);
        }),
      );
    },
    listShells: async (taskId) => {
      const task = await deps.tasks.getTask(taskId);
      assertHere(kernel, task);
      return shells.list(taskId);
    },
    closeShell: async (taskId, name, { sessionId }, call) => {
      const task = await deps.tasks.getTask(taskId);
      return withLease(kernel, task, { sessionId, sandbox: true }, call, async (leased) =>
        shells.close(task, name, leased, call),
      );
    },
    readOutput: async (id, stream, range) => {
      const execution = await get(id);
      const task = await deps.tasks.findTask(execution.taskId);
      if (task !== undefined) assertHere(kernel, task);
      await background.attend(execution, byUs).catch((error: unknown) => {
        deps.logger.debug('A command in the background was not looked after', { id, error: String(error) });
      });
      return readKept(kernel, execution, stream, range);
    },
    start: async (taskId, options, call) => {
      const task = await deps.tasks.getTask(taskId);
      const { sessionId } = options;
      if (sessionId === undefined) {
        throw invalid(
          'sessionId',
          'is missing',
          'A command in the background belongs to a session: attach, then start it.',
        );
      }
      const { timeoutMs = maxTimeoutMs, openInput = false } = options;
      integerBetween('timeoutMs', timeoutMs, 1_000, maxTimeoutMs);
      const plan = { ...planRun(kernel, task, { ...options, timeoutMs }, { goesOn: true }), openInput };
      const args = runArguments(taskId, options, plan);
      const { executionId } = await idempotent(kernel, call, 'exec-background', args, async (key) => {
        const { id } = await withLease(kernel, task, { sessionId, sandbox: true }, call, async (leased) => {
          const running = await ensureRunningStatus(kernel, task, leased.proof, call, { reopen: false });
          return background.start(running, plan, leased, key, call);
        });
        return { executionId: id };
      });
      return get(executionId);
    },
    run: async (taskId, options, call) => {
      const task = await deps.tasks.getTask(taskId);
      const plan = planRun(kernel, task, options);
      let fresh: ExecutionResult | undefined;
      const { executionId } = await idempotent(
        kernel,
        call,
        'exec',
        runArguments(taskId, options, plan),
        async (key) => {
          fresh = await withLease(
            kernel,
            task,
            { sessionId: options.sessionId, sandbox: true },
            call,
            async (leased) => {
              const running =
                task.status === 'running'
                  ? task
                  : await ensureRunningStatus(kernel, task, leased.proof, call, { reopen: false });
              return runExecution(kernel, { keeper, shells }, running, plan, leased, key, call);
            },
          );
          return { executionId: fresh.execution.id };
        },
        {
          settle: async () => settleTask(kernel, task, options.sessionId, call),
          given: async ({ intent }) => ({ executionId: intent['executionId'] as ExecutionId }),
        },
      );
      return fresh ?? replay(kernel, await get(executionId), plan.outputLimitBytes);
    },
  };
}

/** Who records the end of a command when a reader finds that it has ended. */
const byUs: Call = {
  actor: { kind: 'system', id: 'executions', agent: null, model: null, session: null, onBehalfOf: null },
};

/** Checks a call's arguments and fills in what it leaves open. */
function planRun(kernel: Kernel, task: Task, options: RunCommand, { goesOn = false } = {}): RunPlan {
  const { defaults } = kernel.deps;
  return {
    command: checkCommand(options.command),
    cwd: resolveCwd(task, options.cwd),
    env: environment(options.env ?? {}),
    secrets: checkSecrets(options, goesOn),
    stdin: options.stdin,
    timeoutMs: integerBetween('timeoutMs', options.timeoutMs ?? defaults.execTimeoutMs, 1, maxTimeoutMs),
    outputLimitBytes: integerBetween(
      'outputLimitBytes',
      options.outputLimitBytes ?? defaults.outputLimitBytes,
      64,
      maxOutputLimit,
    ),
    maxOutputBytes: integerBetween(
      'maxOutputBytes',
      options.maxOutputBytes ?? defaults.outputMaxBytes,
      1,
      maxKeptOutput,
    ),
    onOutput: options.onOutput,
    lendsChunks: options.lendsChunks === true,
    ...(options.onNotice === undefined ? {} : { onNotice: options.onNotice }),
    given: { cwd: options.cwd === undefined ? undefined : resolveCwd(task, options.cwd), env: options.env ?? {} },
    shell: shellOf(options),
  };
}

function shellOf({ shell, newShell = false, sessionId, stdin }: RunCommand): RunPlan['shell'] {
  if (shell === undefined && newShell) throw invalid('newShell', 'is given without a shell', 'Name the shell.');
  if (shell === undefined) return undefined;
  if (sessionId === undefined)
    throw invalid('sessionId', 'is missing', 'A shell belongs to a session: attach, then run commands in it.');
  if (stdin !== undefined)
    throw invalid('stdin', 'is given with a shell', 'Use a here-document, or write a file first.');
  return { name: checkShellName(shell), anew: newShell };
}

function checkCommand(command: Command): Command {
  const parts = command.kind === 'script' ? [command.script] : command.argv;
  const first = parts[0];
  if (first === undefined || first.length === 0)
    throw invalid('command', 'is empty', 'Name a program or give a script.');
  if (parts.some((part) => !part.isWellFormed()))
    throw invalid('command', 'holds a lone surrogate', 'Give valid Unicode text.');
  if (parts.some((part) => part.includes('\0'))) throw invalid('command', 'holds a NUL character', 'Remove it.');
  const bytes = parts.reduce((sum, part) => sum + Buffer.byteLength(part), 0);
  if (bytes > maxScriptBytes)
    throw invalid('command', `has ${bytes} bytes`, `Give at most ${maxScriptBytes} bytes; pass larger input by stdin.`);
  return command;
}

function resolveCwd(task: Task, cwd: string | undefined): string {
  if (cwd === undefined) return task.workspace.path;
  if (cwd.includes('\0') || !cwd.isWellFormed() || cwd.length > 4_096)
    throw invalid('cwd', 'is not a path', 'Give a path of up to 4096 characters.');
  return path.resolve(task.workspace.path, cwd);
}

function runArguments(taskId: TaskId, options: RunCommand, plan: RunPlan): JsonValue {
  const command = plan.command.kind === 'script' ? { script: plan.command.script } : { argv: plan.command.argv };
  const stdin = options.stdin === undefined ? null : Buffer.from(options.stdin).toString('base64');
  const shell = plan.shell === undefined ? {} : { shell: plan.shell.name, newShell: plan.shell.anew };
  const envNames = [...Object.keys(plan.env), ...plan.secrets.map(({ name }) => name)].sort();
  return { taskId, command, cwd: plan.cwd, envNames, stdin, timeoutMs: plan.timeoutMs, ...shell };
}

/** A part of an output; empty when the command has put out nothing (yet), for which no file is kept. */
async function readKept(
  kernel: Kernel,
  { id, taskId, ...execution }: Execution,
  stream: OutputStream,
  range?: OutputRange,
): Promise<OutputSlice> {
  try {
    return await kernel.deps.memory.readOutput(taskId, id, stream, range);
  } catch (error) {
    const empty = (execution[stream]?.bytes ?? 0) === 0;
    if (empty && isOpencodeToolsError(error, 'OCT_EXECUTION_NOT_FOUND')) return nothing;
    throw error;
  }
}

const nothing: OutputSlice = { bytes: new Uint8Array(), offset: 0, totalBytes: 0 };

/** The result of an execution that an earlier call with the same key ran, shown as that call showed it. */
async function replay(kernel: Kernel, execution: Execution, limit: number): Promise<ExecutionResult> {
  const preview = async (stream: OutputStream): Promise<OutputPreview> => {
    const read = (range: OutputRange): Promise<OutputSlice> => readKept(kernel, execution, stream, range);
    const head = await read({ limit });
    const collector = new PreviewCollector(limit);
    collector.add(head.bytes);
    const rest = head.totalBytes - head.bytes.length;
    if (rest > limit) collector.skip(rest - limit);
    if (rest > 0) collector.add((await read({ offset: -Math.min(rest, limit), limit })).bytes);
    return collector.preview();
  };
  return { execution, stdout: await preview('stdout'), stderr: await preview('stderr'), replayed: true };
}
