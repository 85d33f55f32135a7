import type { Command, Execution } from '../domain/execution.ts';
import type { Operation } from '../domain/operation.ts';
import type { Task } from '../domain/task.ts';
import type { Kernel } from './kernel.ts';
import type { Redaction } from './redactor.ts';
import type { RunPlan } from './run-execution.ts';
import type { LeasedWork } from './with-lease.ts';

export interface ExecutionParts {
  readonly id: Execution['id'];
  readonly task: Task;
  readonly plan: RunPlan;
  /** Hides secrets in what is recorded: a command may hold one in plain words. */
  readonly redaction: Redaction | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly operation: Operation;
  readonly leased: LeasedWork;
}

/** The row of a command that is about to run. */
export function composeExecution(
  kernel: Kernel,
  { id, task, plan, redaction, env, operation, leased }: ExecutionParts,
): Execution {
  return {
    id,
    taskId: task.id,
    sessionId: leased.session.id,
    operationId: operation.id,
    command: redactCommand(plan.command, redaction),
    cwd: redaction?.text(plan.cwd) ?? plan.cwd,
    envNames: Object.keys(env).sort(),
    agent: leased.session.agent,
    ...(plan.shell === undefined ? {} : { shell: plan.shell.name }),
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
}

function redactCommand(command: Command, redaction: Redaction | undefined): Command {
  if (redaction === undefined) return command;
  return command.kind === 'script'
    ? { ...command, script: redaction.text(command.script) }
    : { ...command, argv: command.argv.map((part) => redaction.text(part)) };
}

/** A command as one line of text, for people. */
export function describeCommand(command: Command): string {
  return command.kind === 'script' ? command.script : command.argv.join(' ');
}
