import {
  type Execution,
  type ExecutionId,
  type OutputStream,
  type Page,
  outputStreams,
  shortId,
} from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { usageError } from '../arguments/usage-error.ts';
import { choice, idOf } from '../arguments/values.ts';
import { type Command, type CommandContext, taskParameter } from '../command.ts';
import { describeCommand, describeEnd } from '../describe-execution.ts';
import { findExecution } from '../find-by-short-id.ts';
import { formatDuration, formatTime, lines, oneLine } from '../render/format.ts';
import type { Style } from '../render/style.ts';
import { table } from '../render/table.ts';
import { pageOptions } from './list-tasks.ts';

interface Output {
  readonly executionId: ExecutionId;
  readonly stream: OutputStream;
  readonly totalBytes: number;
  /** Null when the bytes were written to stdout as they are. */
  readonly text: string | null;
}

const sliceBytes = 1024 ** 2;

export const taskExecutions: Command<Page<Execution> | Output> = {
  name: 'task-executions',
  summary: 'list the commands that ran in a task, newest first, or print a whole output of one',
  notes: ['--output writes the bytes as the command wrote them, control characters included.'],
  parameters: [taskParameter],
  options: [
    { name: 'output', value: idOf('execution'), summary: 'print an output of this execution instead' },
    { name: 'stream', value: choice('stream', outputStreams), summary: 'with --output: which (default: stdout)' },
    ...pageOptions,
  ],
  async run(context) {
    const { input, services } = context;
    const reference = input.get<string>('output');
    if (reference !== undefined) return printOutput(context, reference);
    if (input.get('stream') !== undefined) {
      throw usageError('--stream has no meaning without --output', 'Add --output EXECUTION.', { argument: '--stream' });
    }
    const page = given({ limit: input.get<number>('limit'), cursor: input.get<string>('cursor') });
    return services.executions.list(await context.task(), page);
  },
  render: (result, style) => ('items' in result ? renderList(result, style) : ''),
  json: (result) => ('items' in result ? { executions: result.items, next: result.next } : result),
};

async function printOutput(context: CommandContext, reference: string): Promise<Output> {
  const { input, services, terminal, json } = context;
  const stream = input.get<OutputStream>('stream') ?? 'stdout';
  const executionId = await findExecution(services, await context.task(), reference);
  const kept: Uint8Array[] = [];
  let offset = 0;
  let totalBytes = 0;
  do {
    const slice = await services.executions.readOutput(executionId, stream, { offset, limit: sliceBytes });
    totalBytes = slice.totalBytes;
    if (slice.bytes.length === 0) break;
    offset = slice.offset + slice.bytes.length;
    if (json) kept.push(slice.bytes);
    else {
      terminal.write(slice.bytes);
      await terminal.flush();
    }
  } while (offset < totalBytes && !terminal.readerGone.aborted && context.call.signal?.aborted !== true);
  return { executionId, stream, totalBytes, text: json ? Buffer.concat(kept).toString('utf8') : null };
}

function renderList({ items, next }: Page<Execution>, style: Style): string {
  if (items.length === 0) return style.dim('No executions.');
  const rows = table(
    items,
    [
      { title: 'EXECUTION', text: ({ id }) => shortId(id) },
      { title: 'STARTED', text: ({ startedAt }) => formatTime(startedAt) },
      { title: 'TOOK', align: 'right', text: ({ durationMs }) => formatDuration(durationMs) },
      { title: 'END', text: describeEnd, paint: ({ exitCode, state }) => paintEnd(exitCode, state, style) },
      { title: 'AGENT', text: ({ agent }) => oneLine(agent, 20) },
      { title: 'COMMAND', text: ({ command }) => oneLine(describeCommand(command)) },
    ],
    style,
  );
  return lines(rows, next !== null && style.dim(`More: --cursor ${next}`));
}

function paintEnd(exitCode: number | null, state: Execution['state'], style: Style): (text: string) => string {
  if (state === 'running') return style.strong;
  return exitCode === 0 ? style.good : style.bad;
}
