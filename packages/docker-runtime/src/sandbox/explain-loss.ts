import { type ExecutionId, OpencodeToolsError, isOpencodeToolsError } from '@opencode-tools/core';
import type { ContainerDescription, Containers } from '../engine/containers.ts';
import { EngineError } from '../engine/engine-error.ts';
import { LaneLostError } from '../lane/lane.ts';

/** How long an engine may take to notice that the processes of a container ended. */
const noticeLimitMs = 500;

/** Says in the terms of the port what became of a sandbox whose stream ended, or whose engine refused one. */
export async function explainLoss(containers: Containers, id: string, error: unknown): Promise<unknown> {
  if (!(error instanceof LaneLostError || error instanceof EngineError)) return error;
  const container = await afterLoss(containers, id);
  if (!container) return sandboxNotFound(id);
  if (!container.State.Running) return notRunning(id, error);
  return error instanceof LaneLostError ? noRoom(id, error) : error;
}

/** The container as it is after a stream ended: streams tell of an end somewhat before the engine has noticed it. */
export async function afterLoss(containers: Containers, id: string): Promise<ContainerDescription | undefined> {
  await containers.wait(id, noticeLimitMs).catch(() => undefined);
  return containers.find(id);
}

export function sandboxNotFound(id: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_SANDBOX_NOT_FOUND', `The sandbox ${id.slice(0, 12)} does not exist`, {
    details: { sandbox: id },
  });
}

export function notRunning(id: string, cause: unknown): OpencodeToolsError {
  return new OpencodeToolsError('OCT_SANDBOX_NOT_FOUND', `The sandbox ${id.slice(0, 12)} does not run`, {
    remedy: 'Start or unpause it, then run the command again.',
    details: { sandbox: id },
    cause,
  });
}

/** What a command is told whose engine went away under it: it may have done some of its work. Any other error stays as it is. */
export function leftBehind(executionId: ExecutionId, error: unknown): unknown {
  if (!isOpencodeToolsError(error, 'OCT_ENGINE_UNAVAILABLE')) return error;
  const { message, details } = error;
  return new OpencodeToolsError('OCT_ENGINE_UNAVAILABLE', `The engine went away while ${executionId} ran: ${message}`, {
    remedy:
      'How far the command came is unknown: once the engine is back, look at what it did before it is run again. What it had put out is kept (`opencode-tools logs`, or the tool read_execution_output).',
    details: { ...details, executionId },
    cause: error,
  });
}

function noRoom(id: string, cause: unknown): OpencodeToolsError {
  return new OpencodeToolsError('OCT_RESOURCE_LIMIT', `The sandbox ${id.slice(0, 12)} runs but takes no command`, {
    remedy:
      'Its processes or its memory may be used up: end what runs in it (`opencode-tools sandbox restart`, or the tool control_task_sandbox), or raise its limits.',
    details: { sandbox: id, limit: 'pids or memory' },
    cause,
  });
}
