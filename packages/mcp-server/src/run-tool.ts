import { OpencodeToolsError, isId } from '@opencode-tools/core';
import type { CallToolResult, ServerContext } from '@modelcontextprotocol/server';
import type * as z from 'zod/v4';
import { errorResult, failureJson } from './error-result.ts';
import { createProgress, silentProgress } from './progress.ts';
import type { Tool } from './tool.ts';
import type { ToolHost } from './tool-host.ts';

/** Runs one call: checks the arguments, opens the home when needed, reports progress, turns failures into tool results. */
export async function runTool(
  tool: Tool,
  host: ToolHost,
  client: string,
  args: unknown,
  request: ServerContext['mcpReq'],
): Promise<CallToolResult> {
  const progress = progressOf(request);
  try {
    const checked = check(tool, args ?? {});
    const invocation = { client, signal: request.signal, progress: (message: string) => progress.report(message) };
    const { text, data } = await host.run(invocation, (context) => tool.run(checked, context));
    return { content: [{ type: 'text', text }], structuredContent: { ...data } };
  } catch (error) {
    return errorResult(failureJson(error, tool, ownHandles(args)));
  } finally {
    progress.end();
  }
}

function progressOf({ _meta: meta, notify }: ServerContext['mcpReq']) {
  const progressToken = meta?.progressToken;
  if (progressToken === undefined) return silentProgress;
  return createProgress((progress, message) => {
    // A client that went away needs no progress; its call is aborted by the transport.
    notify({ method: 'notifications/progress', params: { progressToken, progress, message } }).catch(() => undefined);
  });
}

function check(tool: Tool, args: unknown): unknown {
  const { success, data, error } = tool.input.safeParse(args);
  if (success) return data;
  const [first] = error.issues;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', error.issues.slice(0, 5).map(issueText).join('; '), {
    remedy: `Correct the named arguments of ${tool.name} and call again.`,
    details: { argument: first === undefined ? '' : issuePath(first) },
  });
}

function issueText(issue: z.core.$ZodIssue): string {
  const path = issuePath(issue);
  return path === '' ? issue.message : `${path}: ${issue.message}`;
}

function issuePath(issue: z.core.$ZodIssue): string {
  return issue.code === 'unrecognized_keys' ? issue.keys.join(', ') : issue.path.map(String).join('.');
}

function ownHandles(args: unknown): readonly string[] {
  if (args === null || typeof args !== 'object' || !('session_id' in args)) return [];
  const { session_id: id } = args;
  return typeof id === 'string' && isId('session', id) ? [id] : [];
}
