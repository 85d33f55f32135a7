import type { Execution } from '../domain/execution.ts';
import type { ExecutionId, SessionId, TaskId } from '../domain/ids.ts';
import type { Operation } from '../domain/operation.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { BackgroundKeeper } from './background.ts';
import { endOne } from './background.ts';
import { isBackground } from './background-end.ts';
import type { IdempotencyKey } from './idempotent.ts';
import type { Kernel } from './kernel.ts';
import type { RunPlan } from './run-execution.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call } from './services.ts';
import { invalid } from './validate.ts';
import type { LeasedWork } from './with-lease.ts';

const closeGraceMs = 2_000;
const pauseMs = 25;
/** Within which a shell has begun, or its start has failed. */
const beginLimitMs = 20_000;
const pageSize = 200;
const nameForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;

/** Which shell a command runs in. */
export interface ShellChoice {
  readonly name: string;
  /** Ends the shell of that name, or passes over how the last one ended, and begins another. */
  readonly anew: boolean;
}

/** The shells of sessions, by name: each is a command in the background that runs the commands of others. */
export interface ShellKeeper {
  /**
   * The shell for a command; begun when the session has none of that name.
   *
   * @throws OpencodeToolsError `OCT_SHELL_ENDED` when the last one of that name ended by itself or was ended
   */
  enter(
    task: Task,
    choice: ShellChoice,
    plan: RunPlan,
    leased: LeasedWork,
    key: IdempotencyKey,
    call: Call,
  ): Promise<Execution>;
  /** Takes note that a shell has ended, and says so. */
  ended(shell: Execution, call: Call): Promise<OpencodeToolsError>;
  /** Shells that run, oldest first. */
  list(taskId: TaskId): Promise<readonly Execution[]>;
  close(task: Task, name: string, leased: LeasedWork, call: Call): Promise<Execution>;
}

export function createShellKeeper(kernel: Kernel, keeper: SandboxKeeper, background: BackgroundKeeper): ShellKeeper {
  const { deps } = kernel;
  const opening = new Map<string, Promise<Execution>>();
  /** Shells that are known to have begun. */
  const begun = new Set<ExecutionId>();

  /** One that another process or home has only just asked for may not have begun. */
  const untilBegun = async (shell: Execution, { signal }: LeasedWork): Promise<Execution> => {
    const limit = Date.parse(shell.startedAt) + beginLimitMs;
    while (!begun.has(shell.id) && deps.clock.nowMs() < limit) {
      signal.throwIfAborted();
      const found = await keeper.find(shell.taskId);
      const state = found === undefined ? undefined : await found.handle.background.look(shell.id);
      if (state?.kind === 'none' && (await deps.tasks.findOperation(shell.operationId))?.state === 'open')
        await pause();
      else begun.add(shell.id);
    }
    return shell;
  };

  const find = async (taskId: TaskId, sessionId: SessionId, name: string): Promise<Execution | undefined> => {
    const [operation] = (await openShells(kernel, taskId)).filter(
      ({ intent, proof }) => intent['shell'] === name && proof?.sessionId === sessionId,
    );
    return operation && deps.tasks.findExecution(executionOf(operation));
  };

  /** Asks the shell to end, and ends it when it does not. */
  const end = async (shell: Execution, call: Call): Promise<Execution> => {
    const found = await keeper.find(shell.taskId);
    await found?.handle.background.endInput(shell.id);
    const deadline = performance.now() + closeGraceMs;
    for (;;) {
      const now = await background.attend(shell, call);
      if (now.state !== 'running') return now;
      if (performance.now() > deadline) break;
      await pause();
    }
    const operation = await deps.tasks.findOperation(shell.operationId);
    if (found !== undefined && operation?.state === 'open') await endOne(kernel, found.handle, operation, 0, call);
    return (await deps.tasks.findExecution(shell.id)) ?? shell;
  };

  const begin: ShellKeeper['enter'] = async (task, choice, plan, leased, key, call) => {
    const sessionId = leased.session.id;
    const before = await find(task.id, sessionId, choice.name);
    if (before !== undefined && !choice.anew) return untilBegun(before, leased);
    if (before !== undefined) await end(before, call);
    const last = choice.anew ? undefined : await lastOf(kernel, task.id, leased, choice.name);
    if (last !== undefined && !leftInOrder(last)) throw endedError(last);
    const mine = await background.startShell(task, choice.name, plan, leased, key, call);
    begun.add(mine.id);
    // Another process of the session may have begun one at the same time: the older one it is, for both.
    const first = (await find(task.id, sessionId, choice.name)) ?? mine;
    if (first.id === mine.id) return mine;
    await end(mine, call);
    return untilBegun(first, leased);
  };

  return {
    enter: async (task, choice, plan, leased, key, call) => {
      const which = `${leased.session.id} ${choice.name}`;
      const under = opening.get(which);
      if (under !== undefined && !choice.anew) return under;
      const entering = begin(task, choice, plan, leased, key, call);
      opening.set(which, entering);
      try {
        return await entering;
      } finally {
        if (opening.get(which) === entering) opening.delete(which);
      }
    },
    ended: async (shell, call) => endedError(await background.attend(shell, call)),
    list: async (taskId) => {
      const found = await Promise.all(
        (await openShells(kernel, taskId)).map(async (operation) => deps.tasks.findExecution(executionOf(operation))),
      );
      const shells = found.filter((one) => one !== undefined);
      const call = {
        actor: { kind: 'system', id: 'executions', agent: null, model: null, session: null, onBehalfOf: null },
      } as const;
      // One whose secrets are not known here is listed as it was last known.
      const now = await Promise.all(
        shells.map(async (shell) =>
          background.attend(shell, call).catch((error: unknown) => {
            if (isOpencodeToolsError(error, 'OCT_INVALID_ARGUMENT')) return shell;
            throw error;
          }),
        ),
      );
      return now.filter(({ state }) => state === 'running');
    },
    close: async (task, name, leased, call) => {
      const shell = await find(task.id, leased.session.id, checkShellName(name));
      if (shell !== undefined) return end(shell, call);
      throw new OpencodeToolsError('OCT_SHELL_ENDED', `The session has no shell ${name}`, {
        remedy: 'See which there are with `opencode-tools shells`.',
        details: { shell: name },
      });
    },
  };
}

async function pause(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, pauseMs));
}

export function checkShellName(name: string): string {
  if (nameForm.test(name)) return name;
  throw invalid('shell', 'is not a name', 'Give 1 to 32 letters, digits, dots, dashes or underscores.');
}

/** What a shell is to run for a plan: a directory and variables that are asked for stay, as if they had been typed. */
export function textForShell({ command, given }: Pick<RunPlan, 'command' | 'given'>): string {
  const variables = Object.entries(given.env).map(([name, value]) => `export ${name}=${quoted(value)}\n`);
  const directory = given.cwd === undefined ? '' : `cd -- ${quoted(given.cwd)} || return 126\n`;
  const text = command.kind === 'script' ? command.script : command.argv.map(quoted).join(' ');
  return `${variables.join('')}${directory}${text}`;
}

/** True of the error that a sandbox gives for a shell that it does not have, or no longer. */
export function isShellGone(error: unknown): boolean {
  return isOpencodeToolsError(error, 'OCT_SHELL_ENDED') || isOpencodeToolsError(error, 'OCT_SANDBOX_NOT_FOUND');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

async function openShells(kernel: Kernel, taskId: TaskId): Promise<readonly Operation[]> {
  const open = await kernel.deps.tasks.listOpenOperations(taskId);
  return open.filter((operation) => isBackground(operation) && operation.intent['shell'] !== undefined);
}

function executionOf({ intent }: Operation): ExecutionId {
  return intent['executionId'] as ExecutionId;
}

/** The last shell of that name in the session; executions from before the session are not looked at. */
async function lastOf(
  kernel: Kernel,
  taskId: TaskId,
  { session }: LeasedWork,
  name: string,
): Promise<Execution | undefined> {
  let cursor: string | null = null;
  do {
    const page = { limit: pageSize, ...(cursor === null ? {} : { cursor }) };
    const { items, next } = await kernel.deps.tasks.listExecutions(taskId, page);
    const found = items.find(
      (one) => one.background === true && one.shell === name && one.sessionId === session.id && one.state !== 'failed',
    );
    if (found !== undefined) return found;
    cursor = items.some(({ startedAt }) => startedAt < session.attachedAt) ? null : next;
  } while (cursor !== null);
  return undefined;
}

/** By `exit` or by being closed: nobody expects it to be there. */
function leftInOrder({ state, reason, exitCode }: Execution): boolean {
  return state === 'exited' && reason === 'exited' && exitCode === 0;
}

function endedError({ id, shell = '', reason, exitCode, signal }: Execution): OpencodeToolsError {
  const how = exitCode === null ? (signal ?? reason ?? 'lost') : `exit ${exitCode}`;
  return new OpencodeToolsError('OCT_SHELL_ENDED', `The shell ${shell} has ended: ${how}`, {
    remedy: `Begin another one (--new-shell, new_shell, newShell): the directory, variables and functions of this one are lost.`,
    details: { shell, executionId: id, reason, exitCode, signal },
  });
}
