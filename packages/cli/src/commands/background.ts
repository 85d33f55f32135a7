import { constants } from 'node:os';
import { type Execution, type ExecutionId, type OutputStream, outputStreams, shortId } from '@opencode-tools/core';
import { usageError } from '../arguments/usage-error.ts';
import { choice, duration, text } from '../arguments/values.ts';
import { type Command, type CommandContext, taskParameter } from '../command.ts';
import { describeEnd } from '../describe-execution.ts';
import { findExecution } from '../find-by-short-id.ts';
import { readAll } from '../read-all.ts';
import { tripwireFacts } from '../render/tripwire-facts.ts';
import { exitCodeOf } from './exec.ts';

const executionParameter = { name: 'execution', summary: 'full or short id' };
const parameters = [taskParameter, executionParameter];
const sliceBytes = 1024 ** 2;
const pollMs = 100;
const dayMs = 86_400_000;

interface Shown {
  readonly executionId: ExecutionId;
  readonly stream: OutputStream;
  /** Where to go on. */
  readonly offset: number;
  readonly state: Execution['state'];
  /** Null when the bytes were written to stdout as they are. */
  readonly text: string | null;
}

export const logs: Command<Shown> = {
  name: 'logs',
  summary: 'print an output of a command, also while it runs',
  notes: ['--offset goes on where an earlier call ended; a negative one counts from the end.'],
  parameters,
  options: [
    { name: 'stream', value: choice('stream', outputStreams), summary: 'which (default: stdout)' },
    { name: 'offset', value: text('bytes'), summary: 'start there (default: 0)' },
    { name: 'follow', short: 'f', summary: 'go on until the command has ended' },
  ],
  async run(context) {
    const executionId = await executionOf(context);
    const stream = context.input.get<OutputStream>('stream') ?? 'stdout';
    return show(context, executionId, stream, offsetOf(context.input.get<string>('offset')));
  },
  render: () => '',
};

async function show(
  { services, terminal, json, input, call }: CommandContext,
  executionId: ExecutionId,
  stream: OutputStream,
  from: number,
): Promise<Shown> {
  const kept: Uint8Array[] = [];
  let offset = from;
  for (;;) {
    // Asked before its output is read: what was put out before an end is then all read.
    const { state } = await services.executions.poll(executionId, call);
    const whole = await copyOutput();
    const over = terminal.readerGone.aborted || call.signal?.aborted === true;
    if (over || !input.flag('follow') || (state !== 'running' && whole)) {
      return { executionId, stream, offset, state, text: json ? Buffer.concat(kept).toString('utf8') : null };
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }

  /** Returns true when there is no more for now. */
  async function copyOutput(): Promise<boolean> {
    for (;;) {
      const slice = await services.executions.readOutput(executionId, stream, { offset, limit: sliceBytes });
      offset = slice.offset + slice.bytes.length;
      if (slice.bytes.length === 0 || terminal.readerGone.aborted) return true;
      if (json) kept.push(slice.bytes);
      else {
        terminal.write(slice.bytes);
        await terminal.flush();
      }
    }
  }
}

function offsetOf(given: string | undefined): number {
  const offset = Number(given ?? 0);
  if (Number.isSafeInteger(offset)) return offset;
  throw usageError(`--offset ${given ?? ''} is not a whole number`, 'Give bytes, such as 0 or -1000.', {
    argument: '--offset',
  });
}

export const wait: Command<Execution> = {
  name: 'wait',
  summary: 'wait until a command has ended; the exit code is the one of the command',
  notes: ['124 when it has not ended within --timeout; it goes on then.'],
  failureExitCode: 125,
  parameters,
  options: [{ name: 'timeout', value: duration(1, dayMs), summary: 'wait no longer (default: 24h)' }],
  async run(context) {
    const timeoutMs = context.input.get<number>('timeout') ?? dayMs;
    return context.services.executions.wait(await executionOf(context), { timeoutMs }, context.call);
  },
  render: (execution) =>
    [`${shortId(execution.id)}: ${describeEnd(execution)}`, ...tripwireFacts(execution)].join('\n'),
  exitCode: (execution) => (execution.state === 'running' ? 124 : exitCodeOf(execution)),
};

interface Told {
  readonly executionId: ExecutionId;
  readonly told: string;
}

export const signal: Command<Told> = {
  name: 'signal',
  summary: 'send a signal to a running command and what it started in its group',
  changes: 'task',
  parameters: [
    ...parameters,
    { name: 'signal', summary: 'such as TERM, INT, HUP or KILL (default: TERM)', optional: true },
  ],
  options: [],
  async run(context) {
    const name = signalOf(context.input.get<string>('signal') ?? 'TERM');
    const executionId = await executionOf(context);
    await context.services.executions.signal(executionId, name, context.session, context.call);
    return { executionId, told: name };
  },
  render: ({ executionId, told }) => `${shortId(executionId)}: ${told}`,
};

function signalOf(given: string): NodeJS.Signals {
  const name = given.toUpperCase().startsWith('SIG') ? given.toUpperCase() : `SIG${given.toUpperCase()}`;
  if (name in constants.signals) return name as NodeJS.Signals;
  throw usageError(`${given} is not a signal`, 'Give a name such as TERM, INT, HUP or KILL.', { argument: 'signal' });
}

export const stdin: Command<Told> = {
  name: 'stdin',
  summary: 'pass standard input on to a command that was started with --open-stdin',
  changes: 'task',
  parameters,
  options: [{ name: 'keep-open', summary: 'do not end the standard input of the command' }],
  async run(context) {
    const executionId = await executionOf(context);
    const bytes = await readAll(context.stdin);
    const input = { ...context.session, bytes, end: !context.input.flag('keep-open') };
    await context.services.executions.writeInput(executionId, input, context.call);
    return { executionId, told: `${bytes.length} bytes` };
  },
  render: ({ executionId, told }) => `${shortId(executionId)}: ${told}`,
};

async function executionOf(context: CommandContext): Promise<ExecutionId> {
  return findExecution(context.services, await context.task(), context.input.text('execution'));
}
