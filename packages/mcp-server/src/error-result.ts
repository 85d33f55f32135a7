import { type ErrorCode, type ErrorJson, asOpencodeToolsError, describeError } from '@opencode-tools/core';
import { inTermsOf } from './argument-names.ts';
import { redactHandles } from './redact-handles.ts';
import type { Tool } from './tool.ts';

/** What to do, in terms of these tools, where the catalogue speaks of commands. */
const remedies: Partial<Record<ErrorCode, string>> = {
  OCT_TASK_NOT_FOUND: 'Call list_tasks to see the tasks.',
  OCT_SESSION_NOT_FOUND: 'Call attach_agent_to_task to get a session_id.',
  OCT_LEASE_HELD: 'Wait for the holder to detach, or call attach_agent_to_task with takeover: true.',
  OCT_LEASE_LOST: 'Your session has ended. Call attach_agent_to_task again if you should go on.',
  OCT_STALE_FENCING_TOKEN: 'A newer session owns the sandbox. Call attach_agent_to_task again if you should go on.',
  OCT_TIMEOUT: 'Raise timeout_ms, or do less in one call.',
};

/** The JSON form of any failure, fit for a model: remedies in terms of tools, arguments by their names here, no handles of others. */
export function failureJson(error: unknown, tool: Pick<Tool, 'input'>, ownHandles: readonly string[]): ErrorJson {
  const json = asOpencodeToolsError(error).toJSON();
  const remedy = json.remedy === describeError(json.code).remedy ? (remedies[json.code] ?? json.remedy) : json.remedy;
  return redactHandles(inTermsOf(tool, { ...json, remedy }), ownHandles);
}

/** A tool result marked as an error. The text alone says what happened and what to do. */
export function errorResult(failure: ErrorJson) {
  const text = `${failure.code}: ${failure.message}\nRemedy: ${failure.remedy}`;
  return {
    content: [{ type: 'text' as const, text }],
    structuredContent: { ...failure } as Record<string, unknown>,
    isError: true,
  };
}
