import { OpencodeToolsError } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { tripwireLines } from '../text/tripwire-lines.ts';
import { defineTool } from '../tool.ts';
import { optionalSessionId } from './fields.ts';
import { describeExecution, executionId, howItIs } from './read-execution-output.ts';

export const controlExecution = defineTool({
  name: 'control_execution',
  title: 'Wait for, signal or write to a command',
  description: 'wait: until its end or timeout_ms.',
  annotations: { destructiveHint: true, openWorldHint: true },
  input: z.strictObject({
    execution_id: executionId,
    session_id: optionalSessionId,
    action: z.enum(['wait', 'signal', 'write_stdin', 'end_stdin']),
    timeout_ms: z.int().min(0).max(50_000).optional(),
    signal: z
      .string()
      .regex(/^[A-Z][A-Z0-9]{1,12}$/, 'Give a name such as INT, TERM or KILL')
      .transform((name) => (name.startsWith('SIG') ? name : `SIG${name}`))
      .optional(),
    text: z.string().max(1_000_000).optional(),
  }),
  output: z.object({
    execution_id: z.string(),
    state: z.string(),
    reason: z.string().optional(),
    exit_code: z.int().optional(),
    signal: z.string().optional(),
  }),
  async run(
    { execution_id: id, session_id: sessionId, action, timeout_ms: timeoutMs = 30_000, signal, text },
    context,
  ) {
    const { executions } = context.home.services;
    const call = await context.call({ sessionId });
    const session = sessionId === undefined ? {} : { sessionId };
    if (action === 'signal') await executions.signal(id, (signal ?? 'SIGTERM') as NodeJS.Signals, session, call);
    if (action === 'write_stdin') await executions.writeInput(id, { ...session, bytes: bytesOf(text) }, call);
    if (action === 'end_stdin') await executions.writeInput(id, { ...session, end: true }, call);
    const execution = await executions.wait(id, { timeoutMs: action === 'wait' ? timeoutMs : 0 }, call);
    return { text: [howItIs(execution), ...tripwireLines(execution)].join('\n'), data: describeExecution(execution) };
  },
});

function bytesOf(text: string | undefined): Uint8Array {
  if (text !== undefined) return Buffer.from(text);
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', 'write_stdin needs text', { details: { argument: 'text' } });
}
