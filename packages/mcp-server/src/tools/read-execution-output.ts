import { type Execution, parseId } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { tripwireLines } from '../text/tripwire-lines.ts';
import { defineTool } from '../tool.ts';
import { count } from './fields.ts';

/** OpenCode cuts a text past 51,200 bytes; invalid bytes become three each. */
const largestBytes = 16_000;

export const executionId = z
  .string()
  .max(60)
  .transform((text) => parseId('execution', text));

export const readExecutionOutput = defineTool({
  name: 'read_execution_output',
  title: 'Read the output of a command',
  description: 'Read an output, also while the command runs; go on from next_offset.',
  annotations: { readOnlyHint: true, idempotentHint: true },
  input: z.strictObject({
    execution_id: executionId,
    stream: z.enum(['stdout', 'stderr']).optional(),
    offset: z.int().optional().describe('Bytes; negative: from the end'),
    limit: z.int().min(1).max(largestBytes).optional(),
    wait_ms: z.int().min(0).max(50_000).optional().describe('For output or the end'),
  }),
  output: z.object({
    execution_id: z.string(),
    state: z.string(),
    reason: z.string().optional(),
    exit_code: z.int().optional(),
    signal: z.string().optional(),
    text: z.string(),
    offset: count,
    next_offset: count,
    total_bytes: count,
  }),
  async run({ execution_id: id, stream = 'stdout', offset = 0, limit = largestBytes, wait_ms: waitMs = 0 }, context) {
    const { executions } = context.home.services;
    const call = await context.call({});
    const deadline = performance.now() + waitMs;
    for (;;) {
      const execution = await executions.poll(id, call);
      const slice = await executions.readOutput(id, stream, { offset, limit });
      const leftMs = deadline - performance.now();
      if (slice.bytes.length > 0 || execution.state !== 'running' || leftMs <= 0)
        return answer(execution, slice, stream);
      await executions.wait(id, { timeoutMs: Math.round(Math.min(200, leftMs)) }, call);
    }
  },
});

function answer(
  execution: Execution,
  slice: { readonly bytes: Uint8Array; readonly offset: number; readonly totalBytes: number },
  stream: string,
) {
  const end = slice.offset + slice.bytes.length;
  const data = {
    ...describeExecution(execution),
    text: new TextDecoder().decode(slice.bytes),
    offset: slice.offset,
    next_offset: end,
    total_bytes: slice.totalBytes,
  };
  const head = `${howItIs(execution)}; ${stream} ${slice.offset} to ${end} of ${slice.totalBytes} bytes`;
  const atEnd = end === slice.totalBytes ? tripwireLines(execution) : [];
  const before = [head, ...atEnd].join('\n');
  return { text: `${before}\n${data.text.replace(/\n$/, '')}`, data };
}

/** The members by which tools tell how a command is. */
export function describeExecution({ id, state, reason, exitCode, signal }: Execution) {
  return {
    execution_id: id,
    state,
    ...(reason === null ? {} : { reason }),
    ...(exitCode === null ? {} : { exit_code: exitCode }),
    ...(signal === null ? {} : { signal }),
  };
}

export function howItIs({ id, state, reason, exitCode, signal }: Execution): string {
  if (state === 'running') return `${id} runs`;
  if (exitCode !== null) return `${id} ended: exit ${exitCode}${reason === 'exited' ? '' : `, ${reason ?? state}`}`;
  return `${id} ended: ${reason ?? state}${signal === null ? '' : ` (${signal})`}`;
}
