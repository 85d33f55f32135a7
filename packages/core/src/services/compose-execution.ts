import type { Command, Execution } from '../domain/execution.ts';
import type { Operation } from '../domain/operation.ts';
import type { Task } from '../domain/task.ts';
import type { Kernel } from './kernel.ts';
import type { RunPlan } from './run-execution.ts';
import type { LeasedWork } from './with-lease.ts';

export interface ExecutionParts {
  readonly id: Execution['id'];
  readonly task: Task;
  readonly plan: RunPlan;
  /** As it is recorded: without secrets. */
  readonly command: Command;
  readonly env: Readonly<Record<string, string>>;
  readonly operation: Operation;
  readonly leased: LeasedWork;
}

/** The row of a command that is about to run. */
export function composeExecution(
  kernel: Kernel,
  { id, task, plan, command, env, operation, leased }: ExecutionParts,
): Execution {
  return {
    id,
    taskId: task.id,
    sessionId: leased.session.id,
    operationId: operation.id,
    command,
    cwd: plan.cwd,
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

/** A command as one line of text, for people. */
export function describeCommand(command: Command): string {
  return command.kind === 'script' ? command.script : command.argv.join(' ');
}
