import {
  type Command,
  type Execution,
  type ExecutionResult,
  OpencodeToolsError,
  type OutputPreview,
  type RunCommand,
  type StartCommand,
} from '@opencode-tools/core';
import * as z from 'zod/v4';
import { formatDuration } from '../text/duration.ts';
import { fitText } from '../text/fit-text.ts';
import { noticeLines } from '../text/notice-lines.ts';
import { outsideClaimsField, outsideClaimsLines } from '../text/outside-claims.ts';
import { tripwireLines } from '../text/tripwire-lines.ts';
import { type ToolContext, defineTool } from '../tool.ts';
import { count, idempotencyKey, optionalSessionId, taskId } from './fields.ts';

/** OpenCode keeps only the head of a text past 2,000 lines or 51,200 bytes; two outputs and a heading stay below both. */
const largestOutputBytes = 18_000;
const mostLines = 900;
const defaultOutputBytes = 12_000;

const input = z.strictObject({
  task_id: taskId,
  session_id: optionalSessionId,
  command: z.string().min(1).max(1_000_000).optional().describe('Run by sh -c'),
  argv: z.array(z.string()).min(1).max(1_000).optional().describe('Without a shell'),
  cwd: z.string().min(1).max(4_096).optional(),
  env: z.record(z.string(), z.string()).optional(),
  secrets: z.array(z.string().min(1).max(128)).max(50).optional().describe('Names that the user configured'),
  stdin: z.string().max(1_000_000).optional(),
  timeout_ms: z.int().min(1).max(86_400_000).optional().describe('Default 600000'),
  max_output_bytes: z.int().min(200).max(largestOutputBytes).optional(),
  background: z.boolean().optional().describe('Return at once'),
  open_stdin: z.boolean().optional().describe('For write_stdin'),
  shell: z.string().max(32).optional().describe('Name; cwd, variables, functions stay'),
  new_shell: z.boolean().optional(),
  idempotency_key: idempotencyKey,
});

type Arguments = z.output<typeof input>;

export const executeInTask = defineTool({
  name: 'execute_in_task',
  title: 'Run a command in a task',
  description: "Run a command in the task's sandbox. A non-zero exit is a result.",
  annotations: { destructiveHint: true, openWorldHint: true },
  input,
  output: z.object({
    execution_id: z.string(),
    exit_code: z.int().optional(),
    signal: z.string().optional(),
    reason: z.string(),
    duration_ms: z.number(),
    stdout: z.string(),
    stderr: z.string(),
    stdout_bytes: count,
    stderr_bytes: count,
    truncated: z.boolean(),
    outside_claims: z.array(z.string()).optional(),
  }),
  async run(args, context) {
    const id = await context.taskId(args.task_id);
    const call = await context.call({ sessionId: args.session_id }, args.idempotency_key);
    if (args.background === true)
      return started(
        await context.home.services.executions.start(id, { ...toStart(args), ...secretsOf(args, context) }, call),
      );
    let bytes = 0;
    const onOutput: RunCommand['onOutput'] = (_stream, chunk) => {
      bytes += chunk.byteLength;
      context.progress(`running, ${bytes} bytes of output`);
    };
    const result = await context.home.services.executions.run(
      id,
      { ...toRunCommand(args), ...secretsOf(args, context), onOutput, lendsChunks: true, onNotice: context.progress },
      call,
    );
    return answer(result, args.max_output_bytes ?? defaultOutputBytes);
  },
});

/** By name only: a place of the host that an agent chose would let it read, or run, whatever the user can. */
function secretsOf({ secrets = [] }: Arguments, { home }: ToolContext) {
  return secrets.length === 0 ? {} : { secrets: home.services.executions.secretsNamed(secrets) };
}

function toRunCommand(args: Arguments): Omit<RunCommand, 'secrets'> {
  return {
    command: toCommand(args),
    outputLimitBytes: args.max_output_bytes ?? defaultOutputBytes,
    ...(args.session_id === undefined ? {} : { sessionId: args.session_id }),
    ...(args.cwd === undefined ? {} : { cwd: args.cwd }),
    ...(args.env === undefined ? {} : { env: args.env }),
    ...(args.stdin === undefined ? {} : { stdin: Buffer.from(args.stdin) }),
    ...(args.timeout_ms === undefined ? {} : { timeoutMs: args.timeout_ms }),
    ...(args.shell === undefined ? {} : { shell: args.shell }),
    ...(args.new_shell === undefined ? {} : { newShell: args.new_shell }),
  };
}

function toStart({ stdin, open_stdin: openInput = false, ...args }: Arguments): StartCommand {
  if (stdin !== undefined) {
    throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', 'stdin cannot be given with background', {
      remedy: 'Give open_stdin, then write with control_execution.',
      details: { argument: 'stdin' },
    });
  }
  if (args.shell !== undefined) {
    throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', 'shell cannot be given with background', {
      remedy: 'Leave one of them out; in a shell, `command &` goes on as well.',
      details: { argument: 'shell' },
    });
  }
  const { outputLimitBytes: _limit, ...start } = toRunCommand(args);
  return { ...start, openInput };
}

function started({ id }: Execution) {
  const nothing = { stdout: '', stderr: '', stdout_bytes: 0, stderr_bytes: 0, truncated: false, duration_ms: 0 };
  return {
    text: `Started in the background: ${id}. Read it with read_execution_output, wait or signal with control_execution.`,
    data: { execution_id: id, reason: 'running', ...nothing },
  };
}

function toCommand({ command, argv }: Arguments): Command {
  if (command !== undefined && argv === undefined) return { kind: 'script', script: command };
  if (argv !== undefined && command === undefined) return { kind: 'argv', argv };
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', 'Exactly one of command and argv says what to run', {
    remedy: 'Give command, run by sh -c, or argv, run without a shell.',
    details: { argument: 'command' },
  });
}

function answer({ execution, stdout, stderr, outsideClaims, notices = [] }: ExecutionResult, maxBytes: number) {
  const out = bounded(stdout, maxBytes);
  const err = bounded(stderr, maxBytes);
  const { id, exitCode, signal, reason, durationMs } = execution;
  const truncated = stdout.truncated || stderr.truncated || out !== stdout.text || err !== stderr.text;
  const data = {
    execution_id: id,
    ...(exitCode === null ? {} : { exit_code: exitCode }),
    ...(signal === null ? {} : { signal }),
    reason: reason ?? 'exited',
    duration_ms: durationMs ?? 0,
    stdout: out,
    stderr: err,
    stdout_bytes: stdout.totalBytes,
    stderr_bytes: stderr.totalBytes,
    truncated,
    ...outsideClaimsField(outsideClaims),
  };
  const noted = noticeLines(notices);
  const before = [...noted, ...outsideClaimsLines(outsideClaims), ...tripwireLines(execution)];
  return { text: [...before, describe(data)].join('\n'), data };
}

function bounded({ text }: OutputPreview, maxBytes: number): string {
  // The preview has a mark of its own, and each invalid byte became three.
  return fitText(text, { maxBytes: maxBytes + 200, maxLines: mostLines });
}

interface Described {
  readonly execution_id: string;
  readonly exit_code?: number;
  readonly signal?: string;
  readonly reason: string;
  readonly duration_ms: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly stdout_bytes: number;
  readonly stderr_bytes: number;
  readonly truncated: boolean;
}

function describe(data: Described): string {
  const how =
    data.exit_code === undefined
      ? `ended: ${data.reason}${data.signal ? ` (${data.signal})` : ''}`
      : `exit ${data.exit_code}`;
  const odd = data.exit_code !== undefined && data.reason !== 'exited' ? `, ${data.reason}` : '';
  return [
    `${how}${odd} after ${formatDuration(data.duration_ms)} (${data.execution_id})`,
    ...(data.truncated
      ? [
          `Output was cut: stdout ${data.stdout_bytes} bytes, stderr ${data.stderr_bytes} bytes in all. Read on with read_execution_output, or filter it in the sandbox.`,
        ]
      : []),
    ...section('stdout', data.stdout),
    ...section('stderr', data.stderr),
    ...(data.stdout === '' && data.stderr === '' ? ['No output.'] : []),
  ].join('\n');
}

function section(name: string, text: string): readonly string[] {
  return text === '' ? [] : [`--- ${name}`, text.replace(/\n$/, '')];
}
